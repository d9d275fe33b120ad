"""A full disk costs no finished work and no old cache."""

import json
import os
import shutil
import subprocess

import pytest

from embed.cache import open_cache
from embed.extract import build_cache
from tests.children import run_forked
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import files_in
from tests.drawn_caches import read_datasets
from tests.noise_pictures import options_of
from tests.noise_pictures import request_of
from tests.noise_pictures import write_noise

NUM_TRAIN, NUM_TEST = 384, 60  # Of each class: 3 blocks and one more.
NUM_VIEWS = 2 * 2 * (NUM_TRAIN + NUM_TEST)
VIEWS_OF_BLOCK = 2 * 256
LONG_NAME = "{:04}" + "n" * 200 + ".png"  # Its ids make the last block large.
# A block of train takes 26 kB, that of test 37 kB. The cache takes 130 kB and,
# while it is laid out, asks for 1 MB more.
LONGEST_IN_PASS, LONGEST_IN_ASSEMBLY = 30_000, 500_000
ROOM_IN_PASS, ROOM_IN_ASSEMBLY = 90_000, 500_000
DISK_BYTES = 8_000_000


@pytest.fixture(name="pictures")
def _pictures(tmp_path):
    return draw(tmp_path / "pictures", seed=0)


@pytest.fixture(name="build")
def _build(pictures, tiny_module_dir, tmp_path):
    """Runs `build-cache`, where files may become so long and not longer."""

    def build(artifacts_dir, max_file_bytes=None):
        return run_forked(
            *("build-cache", *options_of(pictures, tiny_module_dir)),
            *("--artifacts", artifacts_dir, "--json", "-q"),
            cwd=tmp_path,
            max_file_bytes=max_file_bytes,
        )

    return build


@pytest.fixture(name="replace")
def _replace(pictures, tiny_module_dir, tmp_path):
    """Builds a cache, then puts other pictures under the same names.

    Returns the cache, its datasets and those of the new pictures.
    """

    def replace(artifacts_dir):
        request = request_of(pictures, tiny_module_dir)
        old = build_cache(request, artifacts_dir=artifacts_dir).cache
        draw(pictures, seed=1)
        new = build_cache(request, artifacts_dir=tmp_path / "expected").cache
        assert new.path.name == old.path.name
        return old, read_datasets(old.path), read_datasets(new.path)

    return replace


@pytest.fixture(name="disk")
def _disk(tmp_path):
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={DISK_BYTES}"
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system may be mounted here: {error}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_files_that_become_too_long(build, replace, tmp_path):
    """In the pass and in the assembly: one line, the old cache, the blocks."""
    artifacts_dir = tmp_path / "artifacts"
    old, before, expected = replace(artifacts_dir)

    in_pass = build(artifacts_dir, LONGEST_IN_PASS)
    assert_refused(in_pass, old, before, num_blocks=3)
    in_assembly = build(artifacts_dir, LONGEST_IN_ASSEMBLY)
    assert_refused(in_assembly, old, before, num_blocks=4)
    finished = build(artifacts_dir)

    assert_finished(finished, old, expected)


def test_a_full_disk(build, replace, disk):
    """The same command goes on when there is room, and repeats no block."""
    artifacts_dir = disk / "artifacts"
    old, before, expected = replace(artifacts_dir)

    leave_room(disk, ROOM_IN_PASS)
    in_pass = build(artifacts_dir)
    assert_refused(in_pass, old, before, num_blocks=2)
    leave_room(disk, ROOM_IN_ASSEMBLY)
    in_assembly = build(artifacts_dir)
    assert_refused(in_assembly, old, before, num_blocks=4)
    leave_room(disk, DISK_BYTES // 2)
    finished = build(artifacts_dir)

    assert_finished(finished, old, expected)


def test_no_room_at_all(build, replace, disk):
    """Not a byte can be written: one line, and the old cache is as it was."""
    old, before, _ = replace(disk / "artifacts")
    leave_room(disk, 0)

    done = build(disk / "artifacts")

    assert_refused(done, old, before, num_blocks=0)


def draw(folder, *, seed):
    """Draws pictures; those of the test split have long names."""
    write_noise(folder, num_train=NUM_TRAIN, num_test=0, seed=seed)
    return write_noise(
        folder, num_train=0, num_test=NUM_TEST, seed=seed, name=LONG_NAME
    )


def leave_room(disk, num_bytes):
    """Fills a file system but for some bytes."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    left = shutil.disk_usage(disk).free - num_bytes
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, left)


def assert_refused(done, old, before, *, num_blocks):
    """A build has left one line, the old cache and its finished blocks."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "What is finished is kept." in done.stderr
    open_cache(old.path)
    assert_equal_datasets(read_datasets(old.path), before)
    folder = old.path.parent
    assert not list(folder.rglob("*.part"))
    assert len(list(folder.rglob("*.npz"))) == num_blocks


def assert_finished(done, old, expected):
    """A build has finished out of blocks that were there already."""
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["num_computed"] == 0
    assert_equal_datasets(read_datasets(old.path), expected)
    attempts = open_cache(old.path).provenance.attempts
    num_views = sum(attempt.num_views for attempt in attempts)
    assert NUM_VIEWS <= num_views <= NUM_VIEWS + VIEWS_OF_BLOCK
    names = [old.path.name, f"{old.path.name}.stamps"]
    assert files_in(old.path.parent) == names
