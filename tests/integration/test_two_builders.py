"""Two builders of one cache do not meet, and readers see a whole one."""

import hashlib
import json
import os
import platform
import re
import signal

import pytest

from embed.cache import open_cache
from embed.extract import build_cache
from embed.splits import Selection
from tests.children import FORKED
from tests.children import finish
from tests.children import run_forked
from tests.children import start_command
from tests.children import wait_until
from tests.drawn_caches import files_in
from tests.noise_pictures import options_of
from tests.noise_pictures import request_of
from tests.noise_pictures import write_noise

NUM_PICTURES = {"num_train": 150, "num_test": 10}  # Of each class.
NUM_READERS = 8
NUM_REBUILDS = 6
LOCKING = "HDF5_USE_FILE_LOCKING"  # No user should have to set it.


@pytest.fixture(name="pictures")
def _pictures(tmp_path):
    return write_noise(tmp_path / "pictures", **NUM_PICTURES)


@pytest.fixture(name="build_options")
def _build_options(pictures, tiny_module_dir):
    return [
        *("build-cache", *options_of(pictures, tiny_module_dir)),
        *("--artifacts", "artifacts", "--json"),
    ]


@pytest.fixture(name="builder")
def _builder(build_options, tmp_path):
    """A command that has begun to build, and was stopped in the middle."""
    with start_command(*build_options, cwd=tmp_path) as process:
        caches_dir = tmp_path / "artifacts" / "caches"
        journals = "*.building/journal.jsonl"
        assert wait_until(lambda: list(caches_dir.glob(journals)), process)
        os.kill(process.pid, signal.SIGSTOP)
        yield process


def test_a_second_builder_leaves(builder, build_options, tmp_path):
    """It says who builds the cache, where and since when, and what to do."""
    second = run_forked(*build_options, "-q", cwd=tmp_path)
    os.kill(builder.pid, signal.SIGCONT)
    first = finish(builder)

    assert second.returncode == 1
    assert re.fullmatch(
        rf"error: The cache \S+\.h5 is being built by process {builder.pid} "
        rf"on {re.escape(platform.node())} since \d{{4}}-\d\d-\d\dT\S+\. "
        r"Wait until it has finished and run the command again, or give it "
        r"`--wait`\.\n",
        second.stderr,
    )
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["num_computed"] == num_views()


def test_a_second_builder_waits(builder, build_options, tmp_path):
    """With `--wait` it takes what the first has built, and computes nothing."""
    with start_command(*build_options, "--wait", cwd=tmp_path) as waiting:
        stderr = waiting.outputs / "stderr"
        wait_until(
            lambda: stderr.exists() and "Waiting" in stderr.read_text("utf-8")
        )
        os.kill(builder.pid, signal.SIGCONT)
        first, second = finish(builder), finish(waiting)

    assert f"Waiting for process {builder.pid} on " in second.stderr
    assert second.returncode == 0, second.stderr
    first, second = json.loads(first.stdout), json.loads(second.stdout)
    assert first["num_computed"] == num_views()
    assert second["num_computed"] == 0
    assert first["cache"] == second["cache"]
    name = f"pictures-{first['fingerprint']}.h5"
    caches_dir = tmp_path / "artifacts" / "caches"
    assert files_in(caches_dir) == [name, f"{name}.stamps"]


def test_a_builder_takes_over_from_a_dead_one(builder, build_options, tmp_path):
    """The lock of a process that was killed holds nobody up."""
    builder.kill()
    builder.join()

    second = run_forked(*build_options, cwd=tmp_path)

    assert second.returncode == 0, second.stderr
    assert f"Taking over from process {builder.pid} on " in second.stderr


@pytest.mark.slow
def test_readers_during_rebuilds(
    pictures, tiny_module_dir, tmp_path, monkeypatch
):
    """Eight processes read all along: old rows or new ones, never a mix."""
    monkeypatch.delenv(LOCKING, raising=False)
    request = request_of(pictures, tiny_module_dir)
    cache = build_cache(request, artifacts_dir=tmp_path / "artifacts").cache
    allowed = [digest_rows(cache)]
    stop = FORKED.Event()
    readings = FORKED.Queue()
    readers = [
        FORKED.Process(target=read_on, args=(cache.path, stop, readings))
        for _ in range(NUM_READERS)
    ]
    try:
        for reader in readers:
            reader.start()
        began = [readings.get(timeout=60) for _ in readers]
        for number in range(NUM_REBUILDS):
            if number % 2:  # Every other time the same pictures once more.
                write_noise(pictures, **NUM_PICTURES, seed=number)
            rebuilt = build_cache(
                request,
                artifacts_dir=tmp_path / "artifacts",
                is_overwrite=True,
            )
            assert rebuilt.cache.path == cache.path
            allowed.append(digest_rows(rebuilt.cache))
    finally:
        stop.set()
        found = [readings.get(timeout=60) for _ in readers]
        for reader in readers:
            reader.join()

    assert began == [[allowed[0]]] * NUM_READERS
    assert len(set(allowed)) == 1 + NUM_REBUILDS // 2
    for seen in found:
        assert len(seen) > NUM_REBUILDS
        assert set(seen) <= set(allowed)
    assert {digest for seen in found for digest in seen} > {allowed[0]}
    # The old file, still open, is still the old rows.
    assert digest_rows(cache) == allowed[0]


def num_views():
    """Returns how many views a whole build computes."""
    return 2 * 2 * sum(NUM_PICTURES.values())


def read_on(path, stop, readings):
    """Opens and reads a cache again and again; sends what it saw."""
    readings.put([digest_rows(open_cache(path))])
    seen = []
    while not stop.is_set():
        try:
            seen.append(digest_rows(open_cache(path)))
        except Exception as error:
            seen.append(repr(error))
    readings.put(seen)


def digest_rows(cache):
    """Returns the SHA-256 of all that a training takes out of a cache."""
    digest = hashlib.sha256()
    for split in ("train", "test"):
        rows = cache.take(Selection(split))
        digest.update(rows.features.tobytes() + rows.labels.tobytes())
        digest.update("\n".join(rows.image_ids).encode())
    return digest.hexdigest()
