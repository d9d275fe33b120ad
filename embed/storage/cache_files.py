"""The open files of a cache: one, or one and its parts."""

import os
import weakref
from pathlib import Path

import numpy as np

from embed.storage.columns import read_column
from embed.storage.columns import read_readable
from embed.storage.part_files import PartFiles
from embed.storage.part_files import stamp_of
from embed.storage.parts import FEATURES
from embed.storage.seal import Seal
from embed.storage.seal import read_seal


class CacheFiles:
    """Reads columns, wherever they lie.

    Args:
        path: Of the cache.
        descriptor: Of the open file, closed when this is let go.
        seal: What the file says of itself.
    """

    def __init__(self, path: Path, descriptor: int, seal: Seal) -> None:
        self.path, self._descriptor, self._seal = path, descriptor, seal
        self.parts: PartFiles | None = None
        if seal.parted is not None:  # Beside the file, not beside a link to it.
            place = path.resolve() if path.is_symlink() else path
            folder = place.with_name(seal.parted.folder)
            self.parts = PartFiles(folder, seal.parted)
        self._opened = stamp_of(descriptor)
        weakref.finalize(self, os.close, descriptor)

    def read(self, split: str, name: str, rows: np.ndarray) -> np.ndarray:
        """Reads some rows of a column, for whoever checks them.

        Returns:
            Values `(num_rows, ...)`, zero where the disk does not give them.
        """
        if self.parts is not None and name == FEATURES:
            return self.parts.read(split, rows)
        column = self._seal.columns[split][name]
        return read_readable(self._descriptor, column, rows)

    def fill(self, split: str, rows: np.ndarray, into: np.ndarray) -> None:
        """Reads features, unchecked, into an array of as many rows."""
        if self.parts is not None:
            self.parts.fill(split, rows, into)
            return
        column = self._seal.columns[split][FEATURES]
        found = read_column(self._descriptor, column, rows, into)
        if found is not into:  # Of another dtype.
            into[:] = found

    def are_untouched(self, split: str, rows: np.ndarray) -> bool:
        """Tells whether nobody wrote to what some rows are read from."""
        return stamp_of(self._descriptor) == self._opened and (
            self.parts is None or self.parts.are_untouched(split, rows)
        )

    def is_current(self) -> bool:
        """Tells whether the file still lies where it was opened."""
        try:
            there = self.path.stat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def damaged_seals(self) -> list[str]:
        """Returns which copies of the seal are damaged, in words."""
        return read_seal(self._descriptor, self.path)[1]

    def body_faults(self) -> list[str]:
        """Returns what is wrong with all but rows and seals, in words."""
        seal, size = self._seal, os.fstat(self._descriptor).st_size
        faults = self.parts.find_faults() if self.parts is not None else []
        if size < seal.body_stop:
            return [f"{size:,} of {seal.body_stop:,} bytes", *faults]
        if seal.digest_structure(self._descriptor) != seal.structure_digest:
            return ["another HDF5 structure than was written", *faults]
        return faults

    def list_sizes(self) -> list[int]:
        """Returns the length of each file, as it was written."""
        parted = self._seal.parted
        columns = parted.columns.values() if parted is not None else ()
        sizes = [part.num_bytes for column in columns for part in column.parts]
        return [os.fstat(self._descriptor).st_size, *sizes]
