"""The parts of an open cache: a few of them open at a time.

A part is opened when rows are read of it. Rows are read in threads, so that
none is closed while it is in use. Those that are open go on to be read when
they are removed; one that has to be opened anew must still be there.
"""

import collections
import contextlib
import dataclasses
import errno
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embed.storage.columns import read_column
from embed.storage.columns import read_readable
from embed.storage.parts import Part
from embed.storage.parts import PartedColumn
from embed.storage.parts import PartedFeatures
from embed.storage.seal import unopened

# Of one cache, and of all in a process: its usual limit is 1,024, and a build
# may have a dozen caches open, to take rows from.
MOST_OPEN = 32
MOST_IN_ALL = 12 * MOST_OPEN
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)

# The descriptors of all parts that are open in this process. A set, since what
# it does cannot be interrupted, not even by a cache that is let go.
_DESCRIPTORS: set[int] = set()


@dataclasses.dataclass
class _Opened:
    """A file that is open, and how many threads read it."""

    descriptor: int
    num_users: int = 0


class PartFiles:
    """The files with the features of a cache.

    Args:
        folder: Where they lie.
        parted: What the seal says of them.
        most_open: How many are open at a time, unless more threads read.

    Raises:
        MissingArtifactError: If the folder, or later a part, may not be read.
    """

    def __init__(
        self,
        folder: Path,
        parted: PartedFeatures,
        *,
        most_open: int = MOST_OPEN,
    ) -> None:
        self.folder, self.parted = folder, parted
        self._most_open = most_open
        self._starts = {n: c.starts() for n, c in parted.columns.items()}
        self._lock = threading.Lock()
        # The one that was used last is the last.
        self._opened: collections.OrderedDict[str, _Opened]
        self._opened = collections.OrderedDict()
        self._stamps: dict[str, tuple[int, int]] = {}
        # The folder stays the same one where it is moved meanwhile.
        self._folder_descriptor = _open_folder(folder)
        weakref.finalize(
            self, _close_all, self._opened, self._folder_descriptor
        )

    def read(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Reads some rows, for whoever checks them.

        Returns:
            Features `(num_rows, num_views, feature_dim)`, zero where the disk
            does not give them.
        """
        column = self.parted.columns[split]
        pieces = list(self._divide(split, rows))
        if len(pieces) == 1:
            return self._read_part(column, pieces[0][0], pieces[0][2])
        values = np.empty((len(rows), *column.shape[1:]), column.dtype)
        for part, places, of_part in pieces:
            values[places] = self._read_part(column, part, of_part)
        return values

    def fill(self, split: str, rows: np.ndarray, into: np.ndarray) -> None:
        """Reads some rows, unchecked, into an array of as many.

        Raises:
            OSError: If a part is not there.
        """
        column = self.parted.columns[split]
        for part, places, of_part in self._divide(split, rows):
            target = into[places] if isinstance(places, slice) else None
            with self._use(part) as descriptor:
                if descriptor is None:  # It was there a moment ago.
                    path = str(self.folder / part.name)
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
                found = read_column(
                    descriptor, column.column_of(part), of_part, target
                )
            if found is not target:
                into[places] = found

    def are_untouched(self, split: str, rows: np.ndarray) -> bool:
        """Tells whether the parts of some rows are as they were at first."""
        for part, _, _ in self._divide(split, rows):
            with self._use(part) as descriptor:
                if descriptor is None:
                    return False
                if stamp_of(descriptor) != self._stamps[part.name]:
                    return False
        return True

    def find_faults(self) -> list[str]:
        """Returns what is wrong with the files but for their rows."""
        if self._folder_descriptor is None:
            return [f"no folder {self.folder} with its parts"]
        found = []
        for split in self.parted.columns:
            column = self.parted.columns[split]
            for part in column.parts:
                if fault := self._find_fault(column, part):
                    found.append(f"the part {self.folder / part.name} {fault}")
        return found

    def describe(self, split: str, row: int) -> str:
        """Returns which part a row is in, and whether that is missing."""
        ((part, _, _),) = self._divide(split, np.array([row]))
        with self._use(part) as descriptor:
            is_there = descriptor is not None
        suffix = "" if is_there else ", which is missing"
        return f"{self.folder / part.name}{suffix}"

    def _read_part(
        self, column: PartedColumn, part: Part, rows: np.ndarray
    ) -> np.ndarray:
        """Reads rows of one part, zero where they are not there."""
        with self._use(part) as descriptor:
            if descriptor is None:
                return np.zeros((len(rows), *column.shape[1:]), column.dtype)
            return read_readable(descriptor, column.column_of(part), rows)

    def _find_fault(self, column: PartedColumn, part: Part) -> str:
        with self._use(part) as descriptor:
            if descriptor is None:
                return "is missing"
            return column.find_fault(part, descriptor)

    def _divide(
        self, split: str, rows: np.ndarray
    ) -> Iterator[tuple[Part, "slice | np.ndarray", np.ndarray]]:
        """Yields a part, the places in `rows` of its rows, and these rows."""
        starts, parts = self._starts[split], self.parted.columns[split].parts
        numbers = np.searchsorted(starts, rows, side="right") - 1
        for number in np.unique(numbers).tolist():
            found = np.flatnonzero(numbers == number)
            places: slice | np.ndarray = found
            if found[-1] - found[0] == len(found) - 1:
                places = slice(int(found[0]), int(found[-1]) + 1)
            yield parts[number], places, rows[found] - starts[number]

    @contextlib.contextmanager
    def _use(self, part: Part) -> Iterator[int | None]:
        """Lends the descriptor of a part; `None` if it is not there."""
        with self._lock:
            opened = self._opened.pop(part.name, None) or self._open(part)
            if opened is not None:
                self._opened[part.name] = opened
                opened.num_users += 1
                self._close_idle()
        try:
            yield opened.descriptor if opened is not None else None
        finally:
            if opened is not None:
                with self._lock:
                    opened.num_users -= 1

    def _open(self, part: Part) -> _Opened | None:
        if self._folder_descriptor is None:
            return None
        try:
            descriptor = os.open(
                part.name,
                os.O_RDONLY | os.O_CLOEXEC,
                dir_fd=self._folder_descriptor,
            )
        except OSError as error:
            if error.errno not in GONE:
                subject = f"The part {self.folder / part.name} of a cache"
                raise unopened(subject, error) from error
            return None
        _DESCRIPTORS.add(descriptor)
        self._stamps.setdefault(part.name, stamp_of(descriptor))
        return _Opened(descriptor)

    def _close_idle(self) -> None:
        """Closes those that were not used for longest, if there are many."""
        spare = max(
            len(self._opened) - self._most_open,
            len(_DESCRIPTORS) - MOST_IN_ALL,
        )
        idle = [n for n, o in self._opened.items() if not o.num_users]
        for name in idle[: max(spare, 0)]:
            _close(self._opened.pop(name))


def _open_folder(folder: Path) -> int | None:
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return os.open(folder, flags)
    except OSError as error:
        if error.errno not in GONE:
            subject = f"The folder {folder} with the parts of a cache"
            raise unopened(subject, error) from error
        return None


def _close(opened: _Opened) -> None:
    _DESCRIPTORS.discard(opened.descriptor)  # First: its number is used again.
    os.close(opened.descriptor)


def _close_all(
    opened: "collections.OrderedDict[str, _Opened]", folder: int | None
) -> None:
    for one in opened.values():
        _close(one)
    if folder is not None:
        os.close(folder)


def stamp_of(descriptor: int) -> tuple[int, int]:
    """Returns by what it is known that nobody wrote to an open file."""
    file = os.fstat(descriptor)
    return file.st_size, file.st_mtime_ns
