"""The folders of parts among caches: how they are called, and whose they are.

The seal of a cache alone says which folder is its own. One that no cache
refers to was left by a build that was killed, or by a cache that is gone.
"""

import contextlib
import itertools
import os
import re
from collections.abc import Collection
from pathlib import Path

from embed.disk import count_bytes
from embed.errors import PipelineError
from embed.storage.seal import read_seal

FOLDER = re.compile(r"(.+)\.parts(-\d+)?")
# By the splits there are: other programs number their files, too.
PART = re.compile(r"(train|test|unlabelled)-\d{5,}\.h5")
SUFFIX = ".h5"  # Of every cache, unless its user calls it otherwise.


def name_part(split: str, number: int) -> str:
    """Returns what the file of a part is called."""
    return f"{split}-{number:05}.h5"


def free_folder(path: Path) -> Path:
    """Returns a name for the parts of a cache that nothing has."""
    names = (
        f"{path.name}.parts{f'-{number}' if number > 1 else ''}"
        for number in itertools.count(1)
    )
    folders = (path.with_name(name) for name in names)
    return next(folder for folder in folders if not os.path.lexists(folder))


def is_parts_folder(path: Path) -> bool:
    """Tells whether a path is a folder that is called like one of parts."""
    is_folder = path.is_dir() and not path.is_symlink()
    return is_folder and FOLDER.fullmatch(path.name) is not None


def cache_path_of_parts(folder: Path) -> Path:
    """Returns where the cache lies for which a folder of parts was made."""
    match = FOLDER.fullmatch(folder.name)
    return folder.with_name(match[1] if match else folder.name)


def find_folder(path: Path) -> Path | None:
    """Returns the folder of parts that a cache refers to, if it has one.

    Returns:
        Its real path, whatever links lead there.

    Raises:
        PipelineError: If the file does not say.
        OSError: If it cannot be opened.
    """
    path = path.resolve()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parted = read_seal(descriptor, path)[0].parted
    finally:
        os.close(descriptor)
    return path.with_name(parted.folder) if parted is not None else None


def measure_cache(path: Path) -> int:
    """Returns the length of a cache, or of any file or folder, and its parts.

    Args:
        path: What is neither a cache nor there counts as far as it is.
    """
    try:
        folder = find_folder(path)
    except (PipelineError, OSError):
        folder = None
    return sum(count_bytes(p) for p in (path, folder) if p is not None)


def find_leftovers(
    folder: Path, *, besides: Collection[Path] = (), of: str = ""
) -> list[Path]:
    """Returns the folders of parts to which no cache beside them refers.

    A file that does not say what it refers to keeps those of its own name.

    Args:
        folder: Where caches lie.
        besides: Files there that do not count.
        of: Name of the cache whose folders are looked for; default: all that
            are called `.h5`, since others may be another program's.
    """
    found = {
        path
        for path in folder.glob("*.parts*")
        if is_parts_folder(path) and _is_of(cache_path_of_parts(path).name, of)
    }
    if not found:
        return []
    for path in folder.iterdir():
        if path in besides or not path.is_file():
            continue
        try:
            referred = find_folder(path)
            found = {f for f in found if f.resolve() != referred}
        except (PipelineError, OSError):
            found = {f for f in found if cache_path_of_parts(f) != path}
    return sorted(found)


def _is_of(name: str, of: str) -> bool:
    return name == of if of else name.endswith(SUFFIX)


def remove_leftovers_of(path: Path) -> None:
    """Removes the folders of parts of a cache that nothing refers to.

    For who holds the lock of the cache: another builder's look the same.
    """
    path = path.resolve()
    for folder in find_leftovers(path.parent, of=path.name):
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Removes a folder of parts, but nothing that is none."""
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if PART.fullmatch(path.name):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Somebody else's file is in it.
            folder.rmdir()
