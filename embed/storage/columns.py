"""Reads some rows of a column, wherever they lie in it.

Rows that are drawn at random are the usual case, when a training streams from
a cache. Then the kernel is told of all of them first: one after the other they
come at 160 MB/s from a disk that gives 500 MB/s when it knows what is next.
"""

import errno
import itertools
import os
from collections.abc import Iterator

import numpy as np

from embed.storage.hdf5 import PAGE_BYTES
from embed.storage.hdf5 import Column

ALIGNED_BYTES = 64  # TensorFlow shares memory that starts on such a byte.


def read_column(
    descriptor: int,
    column: Column,
    rows: np.ndarray,
    into: np.ndarray | None = None,
) -> np.ndarray:
    """Reads some rows of a column of an open file.

    Args:
        descriptor: Of the open file.
        column: Where it lies.
        rows: Row numbers, ascending where speed matters.
        into: Where the values go if it is contiguous and of their dtype;
            saves a copy.

    Returns:
        Values `(len(rows), ...)`, zero where the file ends before them.
    """
    values = np.empty((len(rows), *column.shape[1:]), column.dtype)
    if into is not None and into.flags.c_contiguous:
        values = into if into.dtype == values.dtype else values
    row_bytes = column.row_bytes
    # With both numbers given: of no rows NumPy cannot tell the other.
    flat = values.reshape(-1).view(np.uint8).reshape(len(rows), row_bytes)
    # What lies between two rows on a page comes from the disk with them.
    runs = list(_find_runs(rows, PAGE_BYTES // max(row_bytes, 1)))
    if len(runs) > 1:
        for _, _, first, last in runs:
            os.posix_fadvise(
                descriptor,
                column.offset + first * row_bytes,
                (last + 1 - first) * row_bytes,
                os.POSIX_FADV_WILLNEED,
            )
    for start, stop, first, last in runs:
        offset = column.offset + first * row_bytes
        if last - first == stop - 1 - start:
            _read_into(descriptor, offset, flat[start:stop])
        else:
            spread = np.empty((last + 1 - first, row_bytes), np.uint8)
            _read_into(descriptor, offset, spread)
            flat[start:stop] = spread[rows[start:stop] - first]
    return values


def read_readable(
    descriptor: int, column: Column, rows: np.ndarray
) -> np.ndarray:
    """Reads some rows of a column, as `read_column` does, from a bad disk.

    Returns:
        Values `(len(rows), ...)`, zero where the disk does not give them.
    """
    try:
        return read_column(descriptor, column, rows)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    if len(rows) < 2:
        return np.zeros((len(rows), *column.shape[1:]), column.dtype)
    halves = np.array_split(rows, 2)
    return np.concatenate(
        [read_readable(descriptor, column, half) for half in halves]
    )


def empty_aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Returns float32 of a shape whose memory TensorFlow can share."""
    count = int(np.prod(shape))
    spare = ALIGNED_BYTES // np.dtype(np.float32).itemsize
    flat = np.empty(count + spare, np.float32)
    start = -flat.ctypes.data % ALIGNED_BYTES // flat.itemsize
    return flat[start : start + count].reshape(shape)


def _find_runs(
    rows: np.ndarray, most_between: int
) -> Iterator[tuple[int, int, int, int]]:
    """Finds ascending row numbers that lie close together.

    Args:
        rows: Row numbers.
        most_between: Rows that may lie between two neighbours.

    Yields:
        The places in `rows` where a run starts and stops, and its first and
        last row number.
    """
    if not len(rows):
        return
    steps = np.diff(rows)
    breaks = np.flatnonzero((steps < 1) | (steps > most_between + 1)) + 1
    bounds = [0, *breaks.tolist(), len(rows)]
    firsts = rows[bounds[:-1]].tolist()
    lasts = rows[np.array(bounds[1:]) - 1].tolist()
    for (start, stop), first, last in zip(
        itertools.pairwise(bounds), firsts, lasts, strict=True
    ):
        yield start, stop, first, last


def _read_into(descriptor: int, offset: int, rows: np.ndarray) -> None:
    """Fills contiguous bytes from the file, with zeros behind its end."""
    flat = rows.reshape(-1)
    start = 0
    while start < len(flat) and (
        count := os.preadv(descriptor, [flat.data[start:]], offset + start)
    ):
        start += count
    flat[start:] = 0
