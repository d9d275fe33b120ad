"""Tests for `embed.columns`."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.columns import read_column
from embed.hdf5 import Column

NUM_ROWS = 40
OFFSET = 24  # Something else lies before the column.
# Rows of 4 bytes lie on one page, of 3,000 some do, of 20,000 none.
WIDTHS = {"narrow": 1, "middling": 750, "wide": 5000}


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory):
    """By width an open file, its column and the values in it."""
    folder = tmp_path_factory.mktemp("columns")
    files = {}
    for name, width in WIDTHS.items():
        values = np.arange(NUM_ROWS * width, dtype="<f4").reshape(-1, width)
        (folder / name).write_bytes(bytes(OFFSET) + values.tobytes())
        column = Column(dtype="<f4", shape=values.shape, offset=OFFSET)
        files[name] = os.open(folder / name, os.O_RDONLY), column, values
    yield files
    for descriptor, _, _ in files.values():
        os.close(descriptor)


@given(
    st.sampled_from(sorted(WIDTHS)),
    st.lists(st.integers(0, NUM_ROWS - 1), max_size=60),
    st.booleans(),
)
def test_any_rows_are_what_indexing_gives(files, width, rows, is_ascending):
    """In any order, near or far apart, once or often, or none."""
    descriptor, column, values = files[width]
    numbers = np.array(sorted(rows) if is_ascending else rows, np.int64)

    found = read_column(descriptor, column, numbers)

    np.testing.assert_array_equal(found, values[numbers])


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_behind_the_end_are_zeros(files, tmp_path, width):
    """A truncated file gives what it has."""
    _, column, values = files[width]
    half = OFFSET + values.nbytes // 2
    path = tmp_path / "truncated"
    path.write_bytes((bytes(OFFSET) + values.tobytes())[:half])
    rows = np.array([1, 2, NUM_ROWS // 2 - 1, NUM_ROWS // 2, NUM_ROWS - 1])

    with path.open("rb") as file:
        found = read_column(file.fileno(), column, rows)

    np.testing.assert_array_equal(found[:3], values[rows[:3]])
    assert not found[3:].any()
