"""Tests for `embed.building.current`."""

import hashlib

import numpy as np
import pytest

from embed.building.current import MANY_PICTURES
from embed.building.current import UNREADABLE
from embed.building.current import CurrentPictures
from embed.building.current import find_rows
from embed.building.stamps import NO_STAMP
from embed.console import Console
from embed.sources import Picture
from embed.sources import Source
from embed.sources import SplitIndex

OLD = 10**18  # Nanoseconds: some day of 2001.


class ListSource(Source):
    """Pictures in memory, which counts what is read."""

    def __init__(self, pictures, stamps=None):
        index = SplitIndex(
            tuple(f"{row}" for row in range(len(pictures))),
            np.zeros(len(pictures), np.int32),
        )
        super().__init__(
            name="list",
            version="",
            class_names=("a", "b"),
            splits={"train": index, "test": index},
        )
        self.pictures, self.current_stamps = pictures, stamps
        self.rows_read, self.num_stamped = [], 0

    def read(self, split, rows):
        """Yields one picture a row."""
        for row in rows:
            self.rows_read.append((split, row))
            yield self.pictures[row]

    def stamps(self, split):
        """Returns what the test wants."""
        self.num_stamped += 1
        return self.current_stamps


def digests_of(*contents):
    """Returns the SHA-256 of some bytes, uint8 `(n, 32)`."""
    joined = b"".join(hashlib.sha256(content).digest() for content in contents)
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)


@pytest.fixture(name="source")
def _source():
    """Three pictures, of which the last cannot be read."""
    return ListSource([Picture(b"a"), Picture(b"b"), Picture(b"", "gone")])


@pytest.fixture(name="pictures")
def _pictures(source):
    return CurrentPictures(source, Console(is_quiet=True))


def test_pictures_are_compared_by_content(pictures):
    """Equal bytes are the same picture; one that is gone holds none."""
    rows = np.array([0, 1, 2])

    have = pictures.have("train", rows, digests_of(b"a", b"x", b""))

    assert have.tolist() == [True, False, False]
    np.testing.assert_array_equal(
        pictures.digests("train", rows[:2]), digests_of(b"a", b"b")
    )


def test_pictures_that_cannot_be_read_are_known(source, pictures):
    """One that still cannot be is what it was, and is read once."""
    unreadable = np.frombuffer(UNREADABLE, np.uint8)[None]

    have = [
        pictures.have("train", np.array([row]), unreadable).tolist()
        for row in (0, 2, 2)
    ]

    assert have == [[False], [True], [True]]
    assert source.rows_read == [("train", 0), ("train", 2)]


def test_each_picture_is_read_once(source, pictures):
    """Asked by several parents, or for some rows first, none is read again."""
    pictures.have("train", np.array([1]), digests_of(b"b"))
    pictures.have("train", np.array([0, 1]), digests_of(b"a", b"b"))
    pictures.have("train", np.array([0, 1]), digests_of(b"x", b"b"))

    assert source.rows_read == [("train", 1), ("train", 0)]


def test_splits_are_kept_apart(source, pictures):
    """Rows of the same number in another split are other pictures."""
    pictures.learn("train", np.array([0]), digests_of(b"x"))

    have = pictures.have("test", np.array([0]), digests_of(b"a"))

    assert have.tolist() == [True]
    assert source.rows_read == [("test", 0)]


def test_what_is_learnt_is_not_read(source, pictures):
    """A stamp that is the same spares the reading of the picture."""
    pictures.learn("train", np.array([0, 2]), digests_of(b"a", b"c"))

    have = pictures.have("train", np.array([0, 2]), digests_of(b"a", b"c"))

    assert have.tolist() == [True, True]
    assert source.rows_read == []


def test_what_was_read_outweighs_what_is_learnt(pictures):
    """A picture is what its bytes say, whoever claims another thing."""
    pictures.have("train", np.array([0]), digests_of(b"a"))

    pictures.learn("train", np.array([0]), digests_of(b"x"))

    assert pictures.have("train", np.array([0]), digests_of(b"a")).all()
    assert not pictures.have("train", np.array([0]), digests_of(b"x")).any()


def test_nothing_asked_reads_nothing(source, pictures):
    """No rows are no error."""
    none = np.array([], int)

    have = pictures.have("train", none, np.empty((0, 32), np.uint8))

    assert have.shape == (0,)
    assert source.rows_read == []


def test_stamps_are_taken_once(source, pictures):
    """Those of the first look count: what changes later is seen next time."""
    source.current_stamps = np.full((3, 3), OLD)
    first = pictures.stamps("train")
    source.current_stamps = np.full((3, 3), OLD + 1)

    np.testing.assert_array_equal(pictures.stamps("train"), first)
    np.testing.assert_array_equal(first, np.full((3, 3), OLD))
    assert source.num_stamped == 1


def test_sources_without_stamps_have_none(pictures):
    """What cannot be told without reading is read."""
    np.testing.assert_array_equal(
        pictures.stamps("train"), np.full((3, 3), NO_STAMP)
    )


@pytest.mark.parametrize(
    ("num_pictures", "num_lines"), [(MANY_PICTURES - 1, 0), (MANY_PICTURES, 10)]
)
def test_many_pictures_show_progress(capsys, num_pictures, num_lines):
    """Seconds of reading are told, and a moment is not."""
    source = ListSource([Picture(b"a")] * num_pictures)
    rows = np.arange(num_pictures)
    digests = np.repeat(digests_of(b"a"), num_pictures, axis=0)

    have = CurrentPictures(source, Console()).have("train", rows, digests)

    assert have.all()
    assert capsys.readouterr().err.count("Comparing: ") == num_lines


def test_find_rows():
    """Each wanted id is found where it stands, or nowhere."""
    rows = find_rows(("a", "b", "c"), ["c", "x", "a", "c"])

    assert rows.tolist() == [2, -1, 0, 2]
    assert find_rows(("a", "b"), ["a", "b"]).tolist() == [0, 1]
    assert find_rows(("a", "b"), ["b", "a"]).tolist() == [1, 0]
    assert find_rows((), ["a"]).tolist() == [-1]
    assert find_rows(("a",), []).tolist() == []
