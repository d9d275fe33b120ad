"""Tests for `embed.building.reader`."""

import numpy as np
import pytest

from embed.building.blocks import Block
from embed.building.blocks import write_block
from embed.building.reader import BlockReader

NUM_BLOCKS = 20


@pytest.fixture(name="paths")
def _paths(tmp_path):
    """Blocks of one row each, which holds its number."""
    paths = [tmp_path / f"{number:08}.npz" for number in range(NUM_BLOCKS)]
    for number, path in enumerate(paths):
        block = Block(
            image_ids=np.array([b"a"]),
            features=np.full((1, 1, 1), number, np.float32),
            content_digests=np.zeros((1, 32), np.uint8),
            is_oriented=np.zeros(1, bool),
            stamps=np.zeros((1, 3), np.int64),
        )
        write_block(block, path)
    return paths


@pytest.mark.parametrize(
    "order",
    [
        range(NUM_BLOCKS),
        reversed(range(NUM_BLOCKS)),
        [3, 4, 5, 5, 4, 5, 6, 0, 1, 19, 0],
    ],
    ids=["forwards", "backwards", "to and fro"],
)
def test_blocks_come_as_they_are_asked_for(paths, order):
    """In any order, whatever was read ahead."""
    reader = BlockReader(paths)
    order = list(order)

    found = [int(reader.read(number).features[0, 0, 0]) for number in order]

    assert found == order


def test_a_block_that_is_lost_is_none(paths):
    """Also where it was to be read ahead of its turn."""
    paths[1].unlink()
    paths[2].write_bytes(b"damaged")
    reader = BlockReader(paths)

    found = [reader.read(number) for number in range(4)]

    assert [block is None for block in found] == [False, True, True, False]
    assert reader.path(2) == paths[2]
