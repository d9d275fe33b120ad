"""Tests for `embed.rows`."""

import dataclasses
import hashlib

import numpy as np
import pytest

from embed.rows import Rows
from embed.rows import StoredRows


@pytest.fixture(name="rows")
def _rows():
    """Three rows of two views and one feature."""
    return StoredRows(
        features=np.arange(6, dtype=np.float32).reshape(3, 2, 1),
        labels=np.array([2, -1, 0], np.int32),
        image_ids=np.array([b"a", b"b", "é".encode()]),
        content_digests=np.arange(96, dtype=np.uint8).reshape(3, 32),
        is_oriented=np.array([0, 1, 0], np.uint8),
    )


def digest(rows, split="train", numbers=(0, 1, 2)):
    """Returns the digests of rows as bytes."""
    digests = rows.digests(split, np.array(numbers, int))
    return [one.tobytes() for one in digests]


def test_take_keeps_features_labels_and_ids_together():
    """Rows are taken in the order asked for, all columns alike."""
    rows = Rows(
        features=np.arange(6, dtype=np.float32).reshape(3, 2, 1),
        labels=np.array([5, 6, 7], np.int32),
        image_ids=("a", "b", "c"),
    )

    taken = rows.take(np.array([2, 0]))

    np.testing.assert_array_equal(taken.features, [[[4], [5]], [[0], [1]]])
    np.testing.assert_array_equal(taken.labels, [7, 5])
    assert taken.image_ids == ("c", "a")
    assert len(taken) == 2


def test_digests_are_over_the_stored_bytes(rows):
    """Anyone with SHA-256 can check a row: its bytes one after the other."""
    expected = hashlib.sha256(
        b"train"
        + (7).to_bytes(8, "little")
        + rows.labels[1].tobytes()
        + rows.content_digests[1].tobytes()
        + rows.is_oriented[1].tobytes()
        + b"b"
        + rows.features[1].tobytes()
    ).digest()

    assert digest(rows, numbers=(6, 7, 8))[1] == expected


@pytest.mark.parametrize(
    "name", [field.name for field in dataclasses.fields(StoredRows)]
)
@pytest.mark.parametrize("row", [0, 1, 2])
def test_each_digest_covers_every_column_of_its_row(rows, name, row):
    """One changed bit in any column is noticed, in that row alone."""
    changed = getattr(rows, name).copy()
    changed[row : row + 1].view(np.uint8).reshape(-1)[0] ^= 1

    other = digest(dataclasses.replace(rows, **{name: changed}))

    is_equal = [a == b for a, b in zip(digest(rows), other, strict=True)]
    assert is_equal == [number != row for number in range(3)]


def test_digests_cover_the_place_of_a_row(rows):
    """A whole row elsewhere, or in the other split, is another row."""
    seen = {
        one
        for split in ("train", "test")
        for numbers in ((0, 1, 2), (1, 2, 0), (256, 257, 258))
        for one in digest(rows, split, numbers)
    }

    assert len(seen) == 2 * 9


def test_digests_do_not_depend_on_what_else_is_digested(rows):
    """A row is the same alone, in a piece and in memory of any order."""
    alone = [
        digest(
            StoredRows(**{name: v[[row]] for name, v in vars(rows).items()}),
            "x",
            [row],
        )
        for row in range(3)
    ]
    scattered = dataclasses.replace(
        rows, features=np.asfortranarray(rows.features)
    )

    assert [one for (one,) in alone] == digest(rows, "x")
    assert digest(scattered, "x") == digest(rows, "x")


def test_no_rows_have_no_digests(rows):
    """Nothing to check is nothing wrong."""
    none = StoredRows(**{name: v[:0] for name, v in vars(rows).items()})

    assert none.digests("train", np.array([], int)).shape == (0, 32)
