"""Stamps: size and times by which a picture is known not to have changed.

As git's index does, a build keeps for each row the size, the modification time
and the change time of the file it was read from; a later build reads only the
pictures whose stamp is another. They lie beside a cache, in `NAME.h5.stamps`,
since equal caches have equal columns and a copied folder has other times; a
lost file costs one reading of the pictures.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from embed.building.blocks import read_arrays
from embed.cache import FeatureCache

NO_STAMP = -1
# What was written just now may be written again within the same tick of the
# file system's clock (git calls it racy); some tick in 2 s.
RACY_NANOSECONDS = 2_000_000_000
OWNER = "pictures_digest"  # Whose stamps they are.


def trust_old_stamps(stamps: np.ndarray) -> np.ndarray:
    """Returns stamps without those that are too new to tell anything.

    Args:
        stamps: int64 `(num_images, 3)`: size, mtime and ctime in nanoseconds.
    """
    is_racy = stamps[:, 1:].max(axis=1) > time.time_ns() - RACY_NANOSECONDS
    return np.where(is_racy[:, np.newaxis], NO_STAMP, stamps)


def read_stamps(cache: FeatureCache, split: str) -> np.ndarray:
    """Returns the stamps of a cache's rows, -1 where there are none."""
    arrays = read_arrays(_path_beside(cache), [OWNER, split])
    none = np.full((cache.num_images[split], 3), NO_STAMP)
    if arrays is None or str(arrays[OWNER]) != cache.pictures_digest():
        return none
    return arrays[split] if arrays[split].shape == none.shape else none


def write_stamps(cache: FeatureCache, stamps: dict[str, np.ndarray]) -> None:
    """Writes the stamps of a cache's rows, by split `(num_images, 3)`.

    Where there is no room for them, there are none.
    """
    path = _path_beside(cache)
    part = path.with_name(path.name + f".{os.getpid()}.part")
    owner = np.array(cache.pictures_digest())
    arrays: dict[str, Any] = {OWNER: owner, **stamps}
    with contextlib.suppress(OSError):
        try:
            with part.open("wb") as file:
                np.savez(file, **arrays)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def _path_beside(cache: FeatureCache) -> Path:
    return cache.path.with_name(cache.path.name + ".stamps")
