"""What files take on the disk."""

import contextlib
from pathlib import Path


def count_bytes(path: Path) -> int:
    """Returns the size of a file, or of all files in a folder."""
    num_bytes = 0
    for file in [path] if path.is_file() else list(path.rglob("*")):
        with contextlib.suppress(OSError):  # Somebody may have moved it.
            num_bytes += file.stat().st_size if file.is_file() else 0
    return num_bytes
