"""Reads bytes of an open file, as many as the disk gives."""

import errno
import os
from collections.abc import Iterator

PIECE_BYTES = 2**20  # Read at a time.


def read_pieces(descriptor: int, start: int, stop: int) -> Iterator[bytes]:
    """Yields the bytes of an open file from `start` to before `stop`.

    It ends early where the file does, or the disk gives no more.
    """
    while start < stop:
        piece = read_some(descriptor, min(PIECE_BYTES, stop - start), start)
        if not piece:
            return
        yield piece
        start += len(piece)


def read_some(descriptor: int, num_bytes: int, start: int) -> bytes:
    """Reads some bytes; none where the disk does not give them."""
    try:
        return os.pread(descriptor, num_bytes, start)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""
