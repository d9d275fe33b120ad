"""Tests for `embed.storage.columns`."""

import errno
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.storage.columns import ALIGNED_BYTES
from embed.storage.columns import empty_aligned
from embed.storage.columns import read_column
from embed.storage.columns import read_readable
from embed.storage.hdf5 import Column

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


@pytest.mark.parametrize(
    "values",
    [
        np.array(["été".encode(), b"a", b""], "S7"),
        np.arange(3, dtype="<i4"),
        np.arange(96, dtype=np.uint8).reshape(3, 32),
        np.arange(12, dtype="<f2").reshape(3, 2, 2),
    ],
    ids=lambda values: values.dtype.str,
)
def test_every_dtype_of_a_cache(tmp_path, values):
    """Text, numbers and digests come back as they are, also none of them."""
    path = tmp_path / "column"
    path.write_bytes(bytes(OFFSET) + values.tobytes())
    column = Column(dtype=values.dtype.str, shape=values.shape, offset=OFFSET)

    with path.open("rb") as file:
        read = read_column(file.fileno(), column, np.array([2, 0]))
        none = read_column(file.fileno(), column, np.array([], int))

    assert read.tobytes() == values[[2, 0]].tobytes()
    assert read.dtype == none.dtype == values.dtype
    assert none.shape == (0, *values.shape[1:])


@pytest.mark.parametrize("shape", [(1,), (3, 2, 5), (1000, 7)])
def test_memory_starts_where_tensorflow_shares_it(shape):
    """Whatever the system hands out, features start on 64 bytes."""
    for _ in range(20):
        values = empty_aligned(shape)

        assert values.shape == shape
        assert values.dtype == np.float32
        assert values.ctypes.data % ALIGNED_BYTES == 0


@pytest.fixture(name="break_row")
def _break_row(monkeypatch):
    """Makes the disk refuse whatever touches the bytes of a row."""
    read_some = os.preadv

    def break_row(column, row, number=errno.EIO):
        bad = column.offset + row * column.row_bytes

        def read(descriptor, buffers, offset):
            stop = offset + sum(memoryview(b).nbytes for b in buffers)
            if offset < bad + column.row_bytes and bad < stop:
                raise OSError(number, os.strerror(number))
            return read_some(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", read)

    return break_row


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("bad", [0, 17, NUM_ROWS - 1])
def test_rows_on_a_bad_sector_are_zeros(files, break_row, width, bad):
    """The disk gives up on some bytes; all other rows are read."""
    descriptor, column, values = files[width]
    break_row(column, bad)
    rows = np.arange(NUM_ROWS)

    read = read_readable(descriptor, column, rows)

    is_good = rows != bad
    np.testing.assert_array_equal(read[is_good], values[is_good])
    assert not read[bad].any()
    with pytest.raises(OSError, match="Input/output error"):
        read_column(descriptor, column, rows)


def test_another_error_is_no_bad_sector(files, break_row):
    """What says nothing of the rows is not taken for damage."""
    descriptor, column, _ = files["narrow"]
    break_row(column, 3, errno.ESTALE)

    with pytest.raises(OSError, match="Stale"):
        read_readable(descriptor, column, np.arange(NUM_ROWS))


def test_rows_are_read_into_memory_that_is_there(files):
    """Without a copy, in any order, to the last row."""
    descriptor, column, values = files["middling"]
    rows = np.random.default_rng(1).permutation(NUM_ROWS)
    there = np.full(values.shape, 7, np.float32)

    read = read_column(descriptor, column, rows, into=there)

    assert read is there
    np.testing.assert_array_equal(there, values[rows])


def test_memory_of_another_type_is_left_alone(files):
    """Bytes are never taken for what they are not."""
    descriptor, column, values = files["middling"]
    there = np.full(values.shape, 7, np.float64)

    read = read_column(descriptor, column, np.arange(NUM_ROWS), into=there)

    assert (there == 7).all()
    np.testing.assert_array_equal(read, values)
