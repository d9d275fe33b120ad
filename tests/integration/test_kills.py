"""A build that is killed loses a block at most, and no bit of the result."""

import random
import shutil
import signal
import time

import pytest

from embed.building.blocks import BLOCK_ROWS
from embed.cache import open_cache
from embed.extract import build_cache
from embed.storage.part_folders import find_folder
from tests.children import start
from tests.children import wait_until
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import files_in
from tests.drawn_caches import read_datasets
from tests.noise_pictures import request_of
from tests.noise_pictures import write_noise

NUM_PICTURES = {"num_train": 1300, "num_test": 200}  # Of each class: 13 blocks.
NUM_VIEWS = 2 * 2 * sum(NUM_PICTURES.values())
NUM_KILLS_IN_PASS, NUM_KILLS_IN_ASSEMBLY = 12, 8
NUM_KILLS_IN_REPLACEMENT = 6
PASS_SECONDS = 0.02  # A block takes about 0.04 s.
ASSEMBLY_SECONDS = 0.06  # All of it takes about 0.04 s.


@pytest.fixture(name="request_to_kill", scope="module")
def _request_to_kill(tmp_path_factory, tiny_module_dir):
    folder = tmp_path_factory.mktemp("kills") / "pictures"
    return request_of(write_noise(folder, **NUM_PICTURES), tiny_module_dir)


@pytest.fixture(name="whole", scope="module")
def _whole(request_to_kill, tmp_path_factory):
    """The datasets of a build that nobody disturbed."""
    result = build_cache(
        request_to_kill, artifacts_dir=tmp_path_factory.mktemp("whole")
    )
    assert result.num_computed == NUM_VIEWS
    return read_datasets(result.cache.path)


@pytest.mark.slow
def test_kills_in_the_pass(request_to_kill, whole, tmp_path):
    """A dozen kills at random moments cost a block each, and no bit differs.

    Every other one lets a block be finished first, on any machine.
    """
    moments = random.Random(0)  # noqa: S311  No secret.

    for number in range(1, NUM_KILLS_IN_PASS + 1):
        kill_after(
            moments.uniform(0, PASS_SECONDS),
            lambda number=number: (
                num_begun(tmp_path, attempt=number) > number % 2
            ),
            request_to_kill,
            tmp_path,
        )
    resumed = build_cache(request_to_kill, artifacts_dir=tmp_path)

    attempts = resumed.cache.provenance.attempts
    num_views = sum(attempt.num_views for attempt in attempts)
    assert len({attempt.pid for attempt in attempts}) > NUM_KILLS_IN_PASS
    assert attempts[-1].num_views == resumed.num_computed
    assert 0 < resumed.num_computed < NUM_VIEWS
    assert num_views >= NUM_VIEWS
    assert num_views <= NUM_VIEWS + NUM_KILLS_IN_PASS * 2 * BLOCK_ROWS
    assert_equal_datasets(read_datasets(resumed.cache.path), whole)
    assert files_in(tmp_path / "caches") == names_of(resumed.cache)


@pytest.mark.slow
def test_kills_in_the_assembly(request_to_kill, whole, tmp_path):
    """The cache is absent or whole at any moment, and nothing is recomputed."""
    moments = random.Random(1)  # noqa: S311  No secret.
    computed = tmp_path / "computed"
    kill_after(0, lambda: is_assembled(computed), request_to_kill, computed)

    for number in range(NUM_KILLS_IN_ASSEMBLY):
        artifacts_dir = tmp_path / str(number)
        shutil.copytree(computed, artifacts_dir)
        for part in (artifacts_dir / "caches").glob("*.part"):
            part.unlink()
        kill_after(
            moments.uniform(0, ASSEMBLY_SECONDS),
            lambda folder=artifacts_dir: is_assembled(folder),
            request_to_kill,
            artifacts_dir,
        )
        for path in (artifacts_dir / "caches").glob("*.h5"):
            open_cache(path)
            assert_equal_datasets(read_datasets(path), whole)
        resumed = build_cache(request_to_kill, artifacts_dir=artifacts_dir)

        assert resumed.num_computed == 0
        assert_equal_datasets(read_datasets(resumed.cache.path), whole)
        attempts = resumed.cache.provenance.attempts
        assert sum(attempt.num_views for attempt in attempts) == NUM_VIEWS
        assert not list((artifacts_dir / "caches").glob("*.h5.part"))


@pytest.mark.slow
@pytest.mark.parametrize("max_file_bytes", [10**12, PART_BYTES])
def test_kills_while_a_cache_is_replaced(
    tmp_path, tiny_module_dir, max_file_bytes
):
    """Where an old cache is it stays, whole, until the new one is.

    In one file and in parts.
    """
    moments = random.Random(2)  # noqa: S311  No secret.
    pictures = tmp_path / "pictures"
    write_noise(pictures, num_train=300)
    request = request_of(
        pictures, tiny_module_dir, max_file_bytes=max_file_bytes
    )
    old = build_cache(request, artifacts_dir=tmp_path / "artifacts").cache
    before = read_datasets(old.path)
    write_noise(pictures, num_train=300, seed=1)
    new = build_cache(request, artifacts_dir=tmp_path / "elsewhere").cache
    after = read_datasets(new.path)

    for number in range(NUM_KILLS_IN_REPLACEMENT):
        is_late = number % 2
        kill_after(
            moments.uniform(0, ASSEMBLY_SECONDS if is_late else PASS_SECONDS),
            lambda late=is_late: (
                is_assembled(tmp_path / "artifacts", endings=(".part",))
                if late
                else journal(tmp_path / "artifacts")
            ),
            request,
            tmp_path / "artifacts",
        )
        open_cache(old.path)
        datasets = read_datasets(old.path)
        is_new = datasets["train/features"][0] != before["train/features"][0]
        assert_equal_datasets(datasets, after if is_new.any() else before)
        if is_new.any():
            break
    build_cache(request, artifacts_dir=tmp_path / "artifacts")

    assert_equal_datasets(read_datasets(old.path), after)
    folder = find_folder(old.path)
    assert list(old.path.parent.glob("*.parts*")) == [folder] * bool(folder)
    assert bool(folder) == (max_file_bytes == PART_BYTES)


def kill_after(seconds, is_so, request, artifacts_dir):
    """Starts a build; kills it some time after a condition, or its end."""
    with start(build_cache, request, artifacts_dir=artifacts_dir) as process:
        wait_until(is_so, process)
        time.sleep(seconds)
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)


def num_begun(artifacts_dir, attempt):
    """Returns the number of blocks that an attempt has begun to compute."""
    return journal(artifacts_dir).count(f'"attempt": {attempt}, "split"')


def journal(artifacts_dir):
    """Returns the text of the journal of the build, `""` before it starts."""
    paths = artifacts_dir.glob("caches/*.building/journal.jsonl")
    return "".join(path.read_text("utf-8") for path in paths)


def is_assembled(artifacts_dir, endings=(".part", "")):
    """Tells whether the file of the cache is being written, or is there."""
    return any(
        list((artifacts_dir / "caches").glob(f"*.h5{ending}"))
        for ending in endings
    )


def names_of(cache):
    """Returns the names of the files of a finished cache."""
    return [cache.path.name, f"{cache.path.name}.stamps"]
