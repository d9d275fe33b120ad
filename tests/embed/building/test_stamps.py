"""Tests for `embed.building.stamps`."""

import errno
import os
import shutil
import time

import numpy as np
import pytest

from embed.building.stamps import NO_STAMP
from embed.building.stamps import RACY_NANOSECONDS
from embed.building.stamps import read_stamps
from embed.building.stamps import trust_old_stamps
from embed.building.stamps import write_stamps
from embed.cache import open_cache
from tests.drawn_caches import change_bytes
from tests.drawn_caches import files_in
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import write_drawn_cache


@pytest.fixture(name="cache")
def _cache(tmp_path):
    """A cache of 5 training and 2 test rows."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path, num_train=5, num_test=2)
    return open_cache(path)


@pytest.fixture(name="stamps")
def _stamps():
    return {
        "train": np.arange(15).reshape(5, 3),
        "test": np.array([[9, 2**60, 2**60 + 1], [NO_STAMP] * 3]),
    }


def assert_no_stamps(cache):
    """Nothing is known: every picture has to be read."""
    for split, num_images in cache.num_images.items():
        expected = np.full((num_images, 3), NO_STAMP)
        np.testing.assert_array_equal(read_stamps(cache, split), expected)


def test_round_trip_is_exact(cache, stamps):
    """What is written is read, and one file lies beside the cache."""
    write_stamps(cache, stamps)

    for split, expected in stamps.items():
        np.testing.assert_array_equal(read_stamps(cache, split), expected)
    assert files_in(cache.path.parent) == ["cache.h5", "cache.h5.stamps"]


def test_a_lost_file_costs_one_reading(cache):
    """Without stamps every picture is looked at; nothing else happens."""
    assert_no_stamps(cache)


def test_stamps_of_other_pictures_are_not_believed(cache, stamps, tmp_path):
    """A file that is left beside another cache says nothing about it."""
    write_stamps(cache, stamps)
    other = tmp_path / "other.h5"
    write_drawn_cache(other, num_train=6, num_test=2)
    shutil.copy(tmp_path / "cache.h5.stamps", tmp_path / "other.h5.stamps")

    assert_no_stamps(open_cache(other))


def test_stamps_of_another_number_of_rows_are_not_believed(cache, stamps):
    """Rows and stamps are aligned, or there are none."""
    write_stamps(cache, {**stamps, "train": stamps["train"][1:]})

    np.testing.assert_array_equal(
        read_stamps(cache, "train"), np.full((5, 3), NO_STAMP)
    )


def test_damaged_stamps_are_none(cache, stamps):
    """Any damage costs one reading: no error, and no other stamp."""
    write_stamps(cache, stamps)
    path = cache.path.with_name("cache.h5.stamps")
    whole = path.read_bytes()

    for position in range(0, len(whole), 3):
        change_bytes(path, position, position + 1, flip_a_bit)
        for split, expected in stamps.items():
            read = read_stamps(cache, split)

            is_none = (read == NO_STAMP).all()
            assert is_none or (read == expected).all()
        path.write_bytes(whole)


def test_a_failed_write_leaves_the_old_stamps(cache, stamps):
    """No `.part` stays, whatever happens while it is written."""
    write_stamps(cache, stamps)

    with pytest.raises(TypeError):
        write_stamps(cache, {**stamps, "file": stamps["train"]})

    assert files_in(cache.path.parent) == ["cache.h5", "cache.h5.stamps"]
    np.testing.assert_array_equal(read_stamps(cache, "train"), stamps["train"])


def test_a_full_disk_costs_the_stamps_alone(cache, stamps, monkeypatch):
    """The cache is whole without them, so that no error is made of it."""

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    write_stamps(cache, stamps)

    assert_no_stamps(cache)
    assert files_in(cache.path.parent) == ["cache.h5"]


def test_what_was_written_just_now_tells_nothing():
    """Within a tick of the clock a file may change and keep its times."""
    now = time.time_ns()
    old = now - RACY_NANOSECONDS - 10**9
    stamps = np.array(
        [
            [5, old, old],
            [5, now, old],
            [5, old, now],
            [5, now + 10**12, old],  # A clock that was wrong.
            [NO_STAMP, NO_STAMP, NO_STAMP],
        ]
    )

    trusted = trust_old_stamps(stamps)

    np.testing.assert_array_equal(trusted[0], stamps[0])
    np.testing.assert_array_equal(trusted[1:], np.full((4, 3), NO_STAMP))


def test_no_pictures_have_no_stamps():
    """An empty split is no error here."""
    assert trust_old_stamps(np.empty((0, 3), np.int64)).shape == (0, 3)
