"""Writes features into files of their own, beside the cache they are of.

All files are laid out, and their space is asked for, before the first row is
written. Nothing refers to them until the seal of the cache does.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from embed.storage.disk_writes import name_in_errors
from embed.storage.disk_writes import require_room
from embed.storage.disk_writes import sync_folder
from embed.storage.disk_writes import write_all
from embed.storage.hdf5 import ROOT
from embed.storage.hdf5 import Column
from embed.storage.hdf5 import create_file
from embed.storage.part_folders import free_folder
from embed.storage.part_folders import name_part
from embed.storage.parts import FEATURES
from embed.storage.parts import PART_OVERHEAD_BYTES
from embed.storage.parts import Part
from embed.storage.parts import PartedColumn
from embed.storage.parts import PartedFeatures
from embed.storage.parts import digest_around
from embed.storage.parts import divide_rows


class PartWriter:
    """Writes the parts of a cache, one file after the other.

    Args:
        path: Of the cache.
        fingerprint: Of its spec, for whoever finds a part alone.
        columns: By split dtype and shape of the features.
        max_file_bytes: Length of a file, at most.

    Raises:
        OSError: If the disk has no room for them.
        StorageError: If a file could not even hold a block.
    """

    def __init__(
        self,
        path: Path,
        *,
        fingerprint: str,
        columns: Mapping[str, tuple[str, tuple[int, ...]]],
        max_file_bytes: int,
    ) -> None:
        sizes = {
            split: divide_rows(*column, max_file_bytes)
            for split, column in columns.items()
        }
        self._folder = free_folder(path)
        self._folder.mkdir()
        self._fingerprint = fingerprint
        self.parted = PartedFeatures(
            folder=self._folder.name,
            max_file_bytes=max_file_bytes,
            columns={
                split: self._lay_out(split, *columns[split], num_rows)
                for split, num_rows in sizes.items()
            },
        )
        self._starts = {
            split: column.starts()
            for split, column in self.parted.columns.items()
        }
        self._path: Path | None = None  # Of the file that is open.
        self._descriptor = -1

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._path is not None:
            os.close(self._descriptor)

    def write(self, split: str, start: int, values: np.ndarray) -> None:
        """Writes consecutive rows; those before them are written.

        Args:
            split: `"train"` or `"test"`.
            start: Number of the first row.
            values: `(num_rows, num_views, feature_dim)`, in the dtype of the
                column.
        """
        column, starts = self.parted.columns[split], self._starts[split]
        while len(values):
            number = int(np.searchsorted(starts, start, side="right")) - 1
            part, first = column.parts[number], start - int(starts[number])
            count = min(len(values), part.num_rows - first)
            path = self._folder / part.name
            place = part.offset + first * column.column_of(part).row_bytes
            piece = np.ascontiguousarray(values[:count])
            with name_in_errors(path):
                write_all(self._open(path), piece.data, place)
            start, values = start + count, values[count:]

    def finish(self) -> None:
        """Makes what was written outlive a power cut."""
        self._close()
        sync_folder(self._folder)
        sync_folder(self._folder.parent)

    def _open(self, path: Path) -> int:
        if path != self._path:
            self._close()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            self._path = path
        return self._descriptor

    def _close(self) -> None:
        """Closes a file to which nothing more is written."""
        if self._path is not None:
            with name_in_errors(self._path):
                os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._path = None

    def _lay_out(
        self,
        split: str,
        dtype: str,
        shape: tuple[int, ...],
        num_rows: list[int],
    ) -> PartedColumn:
        """Creates the files of a split, each of the length it will have."""
        parts: list[Part] = []
        start = 0
        for number, count in enumerate(num_rows):
            path = self._folder / name_part(split, number)
            with name_in_errors(path):
                require_room(path, PART_OVERHEAD_BYTES)
                columns = create_file(
                    path,
                    {ROOT: {FEATURES: (dtype, (count, *shape[1:]))}},
                    attributes={
                        "fingerprint": self._fingerprint.encode(),
                        "split": split.encode(),
                        "first_row": str(start).encode(),
                    },
                    reserved_bytes=0,
                )
                parts.append(_reserve(path, columns[ROOT][FEATURES]))
            start += count
        return PartedColumn(dtype=dtype, shape=shape, parts=tuple(parts))


def _reserve(path: Path, column: Column) -> Part:
    """Asks for the space of a file, and says what the file must be."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        num_bytes = os.fstat(descriptor).st_size
        os.posix_fallocate(descriptor, 0, num_bytes)
        return Part(
            name=path.name,
            num_rows=column.shape[0],
            offset=column.offset,
            num_bytes=num_bytes,
            structure_digest=digest_around(descriptor, column, num_bytes),
        )
    finally:
        os.close(descriptor)
