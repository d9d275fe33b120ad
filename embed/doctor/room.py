"""Judges whether there is room: folders to write to, disk, memory."""

import os
import shutil
import tempfile
from pathlib import Path

from embed.doctor.check import Finding
from embed.doctor.check import fail
from embed.doctor.check import warn
from embed.doctor.estimate import Estimate
from embed.memory import format_size

CHOOSE_FOLDER = "Choose a folder that can be written with `--artifacts DIR`"
CHOOSE_CACHE = "Choose a file that can be written with `--cache PATH`"
PROBE_BYTES = 4096  # One page: a full disk takes a file, and no page of it.


def check_folder(folder: Path, *, use: str, advice: str) -> Finding:
    """Tries to write where a build would, and leaves nothing behind.

    Args:
        folder: Where; it need not exist.
        use: What goes there, e.g. `"caches"`.
        advice: How to choose another.
    """
    existing = find_existing(folder)
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is no folder")
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
    except OSError as error:
        return fail(
            f"{use} cannot be written to {folder}: {error.strerror or error}",
            advice,
        )
    return Finding(f"{folder} can be written")


def check_cache_place(cache_path: Path | None, folder: Path) -> Finding:
    """Tries to write where the cache would go.

    Args:
        cache_path: What `--cache` names, if anything.
        folder: Where the cache goes.
    """
    if cache_path is None:
        return check_folder(folder, use="caches", advice=CHOOSE_FOLDER)
    if cache_path.is_dir():
        return fail(f"{cache_path} is a folder", CHOOSE_CACHE)
    return check_folder(folder, use="the cache", advice=CHOOSE_CACHE)


def check_disk(estimate: Estimate, folder: Path, free_bytes: int) -> Finding:
    """Compares what is free with what a build takes until it is finished.

    Args:
        estimate: Of the build.
        folder: Where it goes.
        free_bytes: What is free there.
    """
    free = f"{format_size(free_bytes)} free at {find_existing(folder)}"
    if estimate.disk_bytes is None:
        return Finding(f"{free}; what a build needs is not known")
    needed = f"a build needs {format_size(estimate.disk_bytes)}"
    if free_bytes < estimate.disk_bytes:
        return fail(
            f"{free}, and {needed}",
            "Make room (`python -m embed prune` removes caches that nothing "
            "refers to), or choose another disk with `--artifacts DIR` or "
            "`--cache PATH`",
        )
    return Finding(f"{free}; {needed}")


def check_memory(estimate: Estimate, free_bytes: int) -> Finding:
    """Compares what is free with what a build takes at its peak.

    Args:
        estimate: Of the build.
        free_bytes: What is free, within the limits of a container.
    """
    free = f"{format_size(free_bytes)} free"
    needed = f"a build takes {format_size(estimate.memory_bytes)}"
    if free_bytes < estimate.memory_bytes:
        return warn(
            f"{free}, and {needed}",
            "End other programs, raise the limit of the container, or choose a "
            "smaller `--backbone`: the build may be killed, and goes on then "
            "from its finished blocks",
        )
    return Finding(f"{free}; {needed}")


def find_existing(folder: Path) -> Path:
    """Returns a folder, or whichever is there of those around it."""
    folder = folder.absolute()
    return next(p for p in (folder, *folder.parents) if os.path.lexists(p))


def count_free_bytes(folder: Path) -> int:
    """Returns what a user may still write to the disk of a folder."""
    existing = find_existing(folder)
    return shutil.disk_usage(existing).free
