"""Tests for `embed.storage.part_files`."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from embed.cache import open_damaged
from embed.storage.part_files import PartFiles
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import draw_rows
from tests.drawn_caches import write_drawn_cache

NUM_TRAIN = 8 * 256


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of eight parts, and one of the test split."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path, num_train=NUM_TRAIN, max_file_bytes=PART_BYTES)
    return path


@pytest.fixture(name="files")
def _files(path):
    """Its parts, of which two are open at a time."""
    return PartFiles(
        path.with_name("cache.h5.parts"),
        open_damaged(path).seal.parted,
        most_open=2,
    )


def count_open(files):
    """Returns how many parts this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # That of the listing itself.
            continue
        found += os.path.dirname(target) == str(files.folder)
    return found


def test_none_is_open_before_it_is_read(files):
    """Who reads the index alone opens no part."""
    assert count_open(files) == 0


def test_few_are_open_at_a_time(files):
    """One after the other, to and fro, and the rows are those of the file."""
    expected = draw_rows(NUM_TRAIN).features
    for row in [*range(0, NUM_TRAIN, 100), *range(NUM_TRAIN - 1, 0, -77)]:
        rows = np.array([row])

        np.testing.assert_array_equal(files.read("train", rows), expected[rows])
        assert count_open(files) <= 2


def test_threads_that_read_at_once_do_not_take_files_from_each_other(files):
    """More threads than open files, and each gets its rows."""
    expected = draw_rows(NUM_TRAIN).features
    barrier = threading.Barrier(8)

    def read(seed):
        rng = np.random.default_rng(seed)
        barrier.wait()
        for _ in range(60):
            rows = np.sort(rng.integers(0, NUM_TRAIN, 9))
            found = np.empty((9, 2, 4), np.float32)
            files.fill("train", rows, found)
            if not np.array_equal(found, expected[rows]):
                return False
            if not np.array_equal(files.read("train", rows), expected[rows]):
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))
    files.read("train", np.array([0]))
    assert count_open(files) <= 2


def test_a_part_that_is_gone_is_zeros_for_who_checks(files):
    """Whoever does not check is told."""
    (files.folder / "train-00003.h5").unlink()
    rows = np.array([3 * 256 - 1, 3 * 256])

    found = files.read("train", rows)

    assert found[0].any()
    assert not found[1].any()
    assert not files.are_untouched("train", rows)
    with pytest.raises(OSError, match=r"train-00003\.h5"):
        files.fill("train", rows, np.empty((2, 2, 4), np.float32))
    assert files.describe("train", 3 * 256).endswith(
        "train-00003.h5, which is missing"
    )


def test_a_part_is_untouched_until_somebody_writes_to_it(files):
    """Also when it was closed in between, and replaced."""
    rows = np.array([5])
    files.read("train", rows)
    assert files.are_untouched("train", rows)
    files.read("train", np.array([1000, 1500, 2000]))  # Closes the first.
    part = files.folder / "train-00000.h5"
    other = part.with_name("other")
    other.write_bytes(part.read_bytes())
    os.utime(other, ns=(1, 1))
    other.replace(part)

    assert not files.are_untouched("train", rows)
