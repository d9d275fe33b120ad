"""The files below a folder: which are pictures, and the bytes of one.

Whatever else lies there is passed over and told. No FIFO or socket is ever
opened, and a link to a folder is followed unless it leads back to where it
lies in, so that nothing hangs or goes round. Names are text until a file is
opened: a `Path` for each of 100,000 would take seconds.
"""

import dataclasses
import errno
import os
import stat
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from embed.decoding.formats import NUM_FIRST_BYTES
from embed.decoding.formats import PICTURE_SUFFIXES
from embed.decoding.formats import is_picture
from embed.errors import SourceError
from embed.sources.source import Picture

# What systems leave in folders, beside all that starts with a dot.
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
MAX_FILE_BYTES = 2**31 - 1  # TensorFlow decodes no more at once.
# These concern one file; any other error says that the storage fails.
ERRORS_OF_ONE_FILE = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENXIO,  # A socket.
    }
)


Stamp = tuple[int, int, int]  # Size in bytes, mtime_ns, ctime_ns.


class UnfitFileError(OSError):
    """What has a picture's name is no file, or too large a one to open."""


@dataclasses.dataclass(frozen=True)
class Names:
    """What lies below a folder, by names relative to it with `/` in them.

    Args:
        pictures: Names, sorted part by part.
        ignored: Names of all else but what systems leave, sorted likewise.
    """

    pictures: list[str]
    ignored: list[str]


@dataclasses.dataclass(frozen=True)
class Listing:
    """What lies below a folder.

    Args:
        pictures: Paths, sorted.
        ignored: Paths of all else but what systems leave, sorted.
    """

    pictures: tuple[Path, ...]
    ignored: tuple[Path, ...]


def list_names(folder: Path | str) -> Names:
    """Sorts what lies below a folder, at any depth.

    A picture is a file, or a link to one that may be gone, with the ending
    of a picture format; where the ending says nothing, the first bytes do.

    Raises:
        SourceError: If a folder cannot be read.
    """
    sides: dict[bool, list[str]] = {True: [], False: []}
    start = len(os.path.join(folder, ""))
    for entry in walk(folder):
        name = entry.path[start:].replace(os.sep, "/")
        sides[_is_listed(entry)].append(name)
    for names in sides.values():
        names.sort(key=path_order)
    return Names(sides[True], sides[False])


def list_files(folder: Path) -> Listing:
    """Sorts what lies below a folder, at any depth; see `list_names`.

    Raises:
        SourceError: If a folder cannot be read.
    """
    names = list_names(folder)
    return Listing(
        tuple(folder / name for name in names.pictures),
        tuple(folder / name for name in names.ignored),
    )


def stamp_of(status: os.stat_result) -> Stamp:
    """Returns what tells, without reading, that a file is the same."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def stamp_together(paths: Iterable[str], num_rows: int) -> np.ndarray | None:
    """Returns the same stamp for each row: that of all files together.

    Args:
        paths: Files in which the rows lie, whichever in which.
        num_rows: How many there are.

    Returns:
        int64 `(num_rows, 3)`; `None` where there are no such files here.
    """
    try:
        found = [stamp_of(os.stat(path)) for path in paths]
    except (OSError, ValueError):  # In a cloud, or gone.
        return None
    if not found:
        return None
    sizes, modified, changed = zip(*found, strict=True)
    stamp = np.array([sum(sizes), max(modified), max(changed)], np.int64)
    return np.tile(stamp, (num_rows, 1))


def read_file(path: Path) -> bytes:
    """Returns the bytes of a regular file, and waits for no other.

    Raises:
        UnfitFileError: If it is something else by now, or too large.
        OSError: If it cannot be read.
    """
    with _open(path) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        if num_bytes > MAX_FILE_BYTES:
            raise UnfitFileError(
                f"it has {num_bytes:,} bytes, more than the "
                f"{MAX_FILE_BYTES:,} that TensorFlow takes"
            )
        return file.read()


def read_picture(path: Path, folder: Path) -> Picture:
    """Returns what a source answers of a file, with a problem where it is bad.

    Args:
        path: The file.
        folder: What is there as long as its storage is.

    Raises:
        SourceError: If the storage fails, or the whole folder is gone.
    """
    try:
        return Picture(read_file(path))
    except UnfitFileError as error:
        return Picture(b"", f"it cannot be read: {error}")
    except OSError as error:
        is_alone = error.errno in ERRORS_OF_ONE_FILE
        if is_alone and _holds_anything(folder):
            return Picture(b"", f"it cannot be read: {error.strerror}")
        raise SourceError(
            f"The picture {path} cannot be read: {error.strerror}. What is "
            "finished is kept: put the folder back, or mend its storage, "
            "and run the command again."
        ) from error


def path_order(name: str) -> str:
    """Returns by what names of files are sorted: `a/b` comes before `a.b`."""
    return name.replace("/", "\0")


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tells a folder, or a link to one, from all else."""
    try:
        return entry.is_dir()
    except OSError:  # Links that go round.
        return False


def is_left_by_system(name: str) -> bool:
    """Tells files that no user put there, such as `._x.jpg`."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def scan(folder: Path | str) -> list[os.DirEntry[str]]:
    """Returns the entries of a folder but those that systems leave.

    Raises:
        SourceError: If it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return [e for e in entries if not is_left_by_system(e.name)]
    except OSError as error:
        raise _unreadable(folder, error) from error


def walk(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yields all entries but folders; a link that goes round is an entry.

    Raises:
        SourceError: If a folder cannot be read.
    """
    waiting = [(os.fspath(folder), frozenset({_identify(folder)}))]
    while waiting:
        path, around = waiting.pop()
        for entry in scan(path):
            if not is_folder(entry):
                yield entry
            elif not entry.is_symlink():
                waiting.append((entry.path, around | {_identify(entry.path)}))
            elif (target := _identify(entry.path)) in around:
                yield entry
            else:
                waiting.append((entry.path, around | {target}))


def _unreadable(folder: Path | str, error: OSError) -> SourceError:
    return SourceError(
        f"The folder {folder} cannot be read: {error.strerror}. Make it "
        "readable, or move it away, and run the command again."
    )


def _identify(folder: Path | str) -> tuple[int, int]:
    """Returns what tells a folder from every other, whatever its path.

    Raises:
        SourceError: If it is gone.
    """
    try:
        status = os.stat(folder)
    except OSError as error:
        raise _unreadable(folder, error) from error
    return status.st_dev, status.st_ino


def _is_listed(entry: os.DirEntry[str]) -> bool:
    if os.path.splitext(entry.name)[1].lower() in PICTURE_SUFFIXES:
        return not is_folder(entry)  # A link to one that goes round.
    if is_folder(entry):
        return False
    try:
        with _open(Path(entry.path)) as file:
            return is_picture(file.read(NUM_FIRST_BYTES))
    except OSError as error:
        if error.errno not in {None, *ERRORS_OF_ONE_FILE}:
            raise SourceError(
                f"The file {entry.path} cannot be read: {error.strerror}. "
                "Mend its storage and run the command again."
            ) from error
        return False


def _open(path: Path) -> BinaryIO:
    """Opens a regular file; the race with its replacement cannot hang."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UnfitFileError("it is no file")
    return open(path, "rb", opener=_open_without_waiting)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _holds_anything(folder: Path) -> bool:
    """Tells a folder from one that is gone, or that nothing is mounted on."""
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except OSError:
        return False
