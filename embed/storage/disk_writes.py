"""Writes to a disk that may be full, and says which file had no room."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Has an error of a descriptor say which file it is of."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)  # For the message.
        raise


def require_room(path: Path, num_bytes: int) -> None:
    """Finds a full disk before HDF5 does, which says it less clearly."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, num_bytes)


def write_all(descriptor: int, data: "bytes | memoryview", offset: int) -> None:
    """Writes all of some bytes at a place of an open file."""
    left = memoryview(data).cast("B")
    while left:
        count = os.pwrite(descriptor, left, offset)
        left, offset = left[count:], offset + count


def sync_folder(folder: Path) -> None:
    """Makes a rename outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
