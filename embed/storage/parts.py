"""Parts: the files of features that are too many for one.

A cache that is larger than a file may be is `NAME.h5`, with every column but
the features, and a folder beside it, `NAME.h5.parts` or a free name of that
kind, with files `SPLIT-NUMBER.h5`. Each holds some blocks of one split as the
only dataset, `features`. The seal of `NAME.h5` names the folder and says of
each file what it must be, down to a digest of its bytes that are no rows; the
rows have their own digests, as those of a single file have.
"""

import hashlib
import itertools
import os

import numpy as np
import pydantic

from embed.errors import StorageError
from embed.memory import format_size
from embed.storage.hdf5 import PAGE_BYTES
from embed.storage.hdf5 import Column
from embed.storage.hdf5 import VirtualColumn
from embed.storage.hdf5 import count_row_bytes
from embed.storage.pieces import read_pieces

FEATURES = "features"
# Any common file system takes files of that length, and so do object stores,
# most of which end at 5 TB.
DEFAULT_MAX_FILE_BYTES = 10**12
# Those of a block, as a test holds: a lost part is some whole blocks.
PART_ROWS = 256
# What HDF5 needs in front of the rows of a part, and to align them.
PART_OVERHEAD_BYTES = 2 * PAGE_BYTES


class Part(pydantic.BaseModel, frozen=True, extra="forbid"):
    """A file with some consecutive rows of features.

    Args:
        name: Of the file, in the folder of parts.
        num_rows: How many it holds.
        offset: First byte of the rows.
        num_bytes: Length of the file.
        structure_digest: SHA-256 of all bytes that are no rows, hexadecimal.
    """

    name: str
    num_rows: int
    offset: int
    num_bytes: int
    structure_digest: str


class PartedColumn(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The features of a split, in files of their own.

    Args:
        dtype: NumPy's name for the values, e.g. `"<f4"`.
        shape: `(num_rows, num_views, feature_dim)`.
        parts: The files, in the order of their rows.
    """

    dtype: str
    shape: tuple[int, ...]
    parts: tuple[Part, ...]

    def starts(self) -> np.ndarray:
        """Returns the first row of each part, int64 `(num_parts,)`."""
        sizes = [part.num_rows for part in self.parts]
        return np.cumsum([0, *sizes[:-1]], dtype=np.int64)

    def column_of(self, part: Part) -> Column:
        """Returns where the rows of a part lie in its file."""
        shape = part.num_rows, *self.shape[1:]
        return Column(dtype=self.dtype, shape=shape, offset=part.offset)

    def find_fault(self, part: Part, descriptor: int) -> str:
        """Returns what is wrong with a part but for its rows, or `""`."""
        size = os.fstat(descriptor).st_size
        if size != part.num_bytes:
            return f"has {size:,} of {part.num_bytes:,} bytes"
        found = digest_around(descriptor, self.column_of(part), size)
        if found != part.structure_digest:
            return "has another HDF5 structure than was written"
        return ""


class PartedFeatures(pydantic.BaseModel, frozen=True, extra="forbid"):
    """The features of a cache, in files of their own.

    Args:
        folder: Name of their folder, beside the cache.
        max_file_bytes: What was asked for when they were written.
        columns: By split.
    """

    folder: str
    max_file_bytes: int
    columns: dict[str, PartedColumn]

    def as_virtual(self) -> dict[str, dict[str, VirtualColumn]]:
        """Returns what HDF5 is told of them, by split and name."""
        return {
            split: {
                FEATURES: VirtualColumn(
                    column.dtype,
                    column.shape,
                    tuple(
                        (f"{self.folder}/{part.name}", part.num_rows)
                        for part in column.parts
                    ),
                )
            }
            for split, column in self.columns.items()
        }


def digest_around(descriptor: int, column: Column, num_bytes: int) -> str:
    """Returns the SHA-256 of all bytes of an open file but a column's."""
    digest = hashlib.sha256()
    stop = column.offset + column.num_bytes
    for place in ((0, column.offset), (stop, num_bytes)):
        for piece in read_pieces(descriptor, *place):
            digest.update(piece)
    return digest.hexdigest()


def divide_rows(
    dtype: str, shape: tuple[int, ...], max_file_bytes: int
) -> list[int]:
    """Returns the number of rows of each part of a column.

    Raises:
        StorageError: If a file may not even hold one block.
    """
    require_part_size(dtype, shape, max_file_bytes)
    room = max_file_bytes - PART_OVERHEAD_BYTES
    step = PART_ROWS * max(
        room // (PART_ROWS * count_row_bytes(dtype, shape)), 1
    )
    bounds = [*range(0, shape[0], step), shape[0]]
    return [stop - start for start, stop in itertools.pairwise(bounds)]


def require_part_size(
    dtype: str, shape: tuple[int, ...], max_file_bytes: int
) -> None:
    """Refuses files too small for a block of rows.

    Raises:
        StorageError: If they are.
    """
    num_rows = min(PART_ROWS, shape[0])
    least = PART_OVERHEAD_BYTES + num_rows * count_row_bytes(dtype, shape)
    if max_file_bytes < least:
        views, feature_dim = shape[1:]
        raise StorageError(
            f"Files of {format_size(max_file_bytes)} are too small for "
            f"{num_rows} images x {views} views x {feature_dim:,} features, "
            f"which stay together. Expected: at least {least} bytes. "
            f"Received: {max_file_bytes}. Give more with `--max-file-size "
            f"{least}`."
        )
