"""The pictures that a command is told: files, folders, globs and stdin."""

import glob
import io
import os
import select
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO
from typing import overload

from embed.errors import SourceError
from embed.reading import PictureFile
from embed.sources.files import list_files

STDIN = "-"
WAYS = (
    "Expected: files, folders, globs in quotes, or `-` for paths on stdin, "
    "one a line"
)
DIGEST_BYTES = 16  # Of a path: what a million of them take is 0.1 GB.
Part = list[PictureFile] | None  # None stands for stdin.
PAUSE = None  # Stands for a moment in which no line came.
PAUSE_SECONDS = 0.05
CHUNK_BYTES = 65_536  # What a pipe holds.


def read_lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yields the lines of a stream, and `PAUSE` where the next takes a moment.

    Whoever writes the lines may be waiting for an answer then. Of what is no
    file or pipe all lines come without pauses.

    Args:
        stream: Of which nothing was read before.
    """
    try:
        place = stream.fileno()
    except io.UnsupportedOperation:
        yield from stream
        return
    rest, is_paused = b"", True
    while True:
        is_ready, _, _ = select.select(
            [place], [], [], None if is_paused else PAUSE_SECONDS
        )
        is_paused = not is_ready
        if is_paused:
            yield PAUSE
            continue
        chunk = os.read(place, CHUNK_BYTES)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


@overload
def list_inputs(
    arguments: Sequence[str], lines: Iterable[bytes]
) -> Iterator[PictureFile]: ...


@overload
def list_inputs(
    arguments: Sequence[str], lines: Iterable[bytes | None]
) -> Iterator[PictureFile | None]: ...


def list_inputs(
    arguments: Sequence[str], lines: Iterable[bytes | None]
) -> Iterator[PictureFile | None]:
    """Returns what the arguments name, each file once, in their order.

    A folder stands for all pictures below it, sorted. What is wrong with an
    argument is said at once. What is wrong with a line is the problem of that
    line alone, since it may be one of a million.

    Args:
        arguments: What stands on the command line.
        lines: Of stdin, of which no more is read than is asked for.

    Returns:
        The files, and `PAUSE` where the lines have it.

    Raises:
        SourceError: If an argument names no picture.
    """
    parts = [None if a == STDIN else _expand(a) for a in arguments]
    return _once(_join(parts, lines))


def _expand(argument: str) -> list[PictureFile]:
    """Returns the files of one argument."""
    if os.path.isdir(argument):
        return _list_folder(argument)
    if os.path.exists(argument):
        return [PictureFile(argument)]
    if not glob.has_magic(argument):
        raise SourceError(
            f"There is no file or folder {argument!r}. {WAYS}. Name one that "
            "is there."
        )
    files: list[PictureFile] = []
    for path in sorted(glob.glob(argument, recursive=True)):
        if os.path.isdir(path):
            files += _files_below(path)
        else:
            files.append(PictureFile(path))
    if not files:
        raise SourceError(
            f"No picture matches {argument!r}. {WAYS}. Name some that are "
            "there."
        )
    return files


def _list_folder(folder: str) -> list[PictureFile]:
    """Returns the pictures below a folder that was named.

    Raises:
        SourceError: If there is none, or it cannot be read.
    """
    files = _files_below(folder)
    if not files:
        raise SourceError(
            f"The folder {folder!r} holds no pictures. {WAYS}. Name one that "
            "does."
        )
    return files


def _files_below(folder: str) -> list[PictureFile]:
    paths = list_files(Path(folder)).pictures
    return [PictureFile(os.fspath(path)) for path in paths]


def _join(
    parts: Iterable[Part], lines: Iterable[bytes | None]
) -> Iterator[PictureFile | None]:
    for part in parts:
        if part is not None:
            yield from part
            continue
        for line in lines:
            if line is PAUSE:
                yield PAUSE
            else:
                yield from _expand_line(line)


def _expand_line(line: bytes) -> list[PictureFile]:
    """Returns the files of one line; the decoder says what is no file."""
    path = os.fsdecode(line.rstrip(b"\r\n"))
    if not path:
        return []
    if not os.path.isdir(path):
        return [PictureFile(path)]
    try:
        return _list_folder(path)
    except SourceError as error:
        return [PictureFile(path, problem=str(error))]


def _once(
    files: Iterable[PictureFile | None],
) -> Iterator[PictureFile | None]:
    """Leaves out what was there before: of paths only digests are kept."""
    seen: set[bytes] = set()
    for file in files:
        if file is PAUSE:
            yield PAUSE
            continue
        place = os.fsencode(Path(file.path).absolute())
        digest = blake2b(place, digest_size=DIGEST_BYTES).digest()
        if digest not in seen:
            seen.add(digest)
            yield file
