"""Tests for `embed.storage.parts`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.building.blocks import BLOCK_ROWS
from embed.errors import StorageError
from embed.storage.parts import PART_OVERHEAD_BYTES
from embed.storage.parts import PART_ROWS
from embed.storage.parts import divide_rows

ROW_BYTES = 2 * 3 * 4  # Two views of three float32.


@given(st.integers(1, 5000), st.integers(1, 20), st.integers(0, 255))
def test_parts_are_whole_blocks_that_fit(num_rows, num_blocks, spare):
    """All rows are in one, and none is longer than asked for."""
    room = num_blocks * PART_ROWS * ROW_BYTES + spare

    sizes = divide_rows("<f4", (num_rows, 2, 3), PART_OVERHEAD_BYTES + room)

    assert sum(sizes) == num_rows
    assert max(sizes) * ROW_BYTES <= room
    assert {size % PART_ROWS for size in sizes[:-1]} <= {0}
    assert len(sizes) == -(-num_rows // (num_blocks * PART_ROWS))


def test_a_part_is_made_of_the_blocks_of_a_build():
    """What is lost with a part is what `verify` and a build count in."""
    assert PART_ROWS == BLOCK_ROWS


@pytest.mark.parametrize("num_rows", [256, 10_000])
def test_files_too_small_for_a_block_are_refused(num_rows):
    """The size that is named is enough, and a byte less is not."""
    least = PART_OVERHEAD_BYTES + 256 * ROW_BYTES
    shape = num_rows, 2, 3

    with pytest.raises(StorageError, match=f"--max-file-size {least}`"):
        divide_rows("<f4", shape, least - 1)

    assert set(divide_rows("<f4", shape, least)) <= {256, num_rows % 256}
