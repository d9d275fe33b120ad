"""Tests for `embed.rows`."""

import dataclasses
import hashlib

import numpy as np
import pytest

from embed.rows import Rows
from embed.rows import StoredBlock


@pytest.fixture(name="block")
def _block():
    """Three rows of two views and one feature."""
    return StoredBlock(
        features=np.arange(6, dtype=np.float32).reshape(3, 2, 1),
        labels=np.array([2, 1, 0], np.int32),
        image_ids=np.array([b"a", b"b", "é".encode()]),
        content_digests=np.arange(96, dtype=np.uint8).reshape(3, 32),
    )


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


def test_digest_is_over_the_stored_bytes(block):
    """Anyone with SHA-256 can check a block: arrays one after the other."""
    expected = hashlib.sha256(
        block.features.tobytes()
        + block.labels.tobytes()
        + block.image_ids.tobytes()
        + block.content_digests.tobytes()
    ).digest()

    assert block.digest().tobytes() == expected


@pytest.mark.parametrize(
    "name", [field.name for field in dataclasses.fields(StoredBlock)]
)
def test_digest_covers_every_column(block, name):
    """One changed bit in any column is noticed."""
    changed = getattr(block, name).copy()
    changed.view(np.uint8).reshape(-1)[0] ^= 1

    other = dataclasses.replace(block, **{name: changed})

    assert other.digest().tobytes() != block.digest().tobytes()


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_what_is_cut_joins_again(block, cut):
    """Cut anywhere and joined, a block is what it was."""
    joined = block.cut(0, cut).join(block.cut(cut))

    for name, column in vars(block).items():
        np.testing.assert_array_equal(getattr(joined, name), column)
    np.testing.assert_array_equal(joined.digest(), block.digest())
