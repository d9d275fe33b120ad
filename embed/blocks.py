"""Blocks: fixed ranges of rows, each complete on disk or absent.

A build computes blocks in any order, in any process; resuming it is computing
the missing ones. Batches never cross a block, so that its rows are
bit-identical whoever computes them. A block is one `.npz` file in
`NAME.h5.building/SPLIT/`, written beside its name and then moved there:

    features         float32 or float16 (num_rows, num_views, feature_dim)
    content_digests  uint8 (num_rows, 32)   SHA-256 of each encoded image
    is_oriented      bool (num_rows,)       has an EXIF orientation
    errors           utf-8 (num_rows,)      why a row has no features, or ""
"""

import dataclasses
import os
import zipfile
from pathlib import Path

import numpy as np

BLOCK_ROWS = 256  # 3.7 MB of 1792-d features in two views; 5 s of a CPU.
DIGEST_BYTES = 32  # SHA-256.


@dataclasses.dataclass(frozen=True)
class BlockKey:
    """Which rows of which split a block holds.

    Args:
        split: `"train"` or `"test"`.
        number: Block number within the split.
        start: First row.
        stop: Row after the last.
    """

    split: str
    number: int
    start: int
    stop: int

    @property
    def rows(self) -> range:
        """Its row numbers."""
        return range(self.start, self.stop)

    def path_in(self, build_dir: Path) -> Path:
        """Returns where the block lies in a build directory."""
        return build_dir / self.split / f"{self.number:08}.npz"


@dataclasses.dataclass(frozen=True)
class Block:
    """What one pass over the rows of a block found.

    Args:
        features: `(num_rows, num_views, feature_dim)`, zero in bad rows.
        content_digests: uint8 `(num_rows, 32)`.
        is_oriented: Booleans `(num_rows,)`: carries an EXIF orientation,
            which is not applied.
        errors: Per row why it has no features, or `""`.
    """

    features: np.ndarray
    content_digests: np.ndarray
    is_oriented: np.ndarray
    errors: np.ndarray

    @property
    def is_good(self) -> np.ndarray:
        """Booleans `(num_rows,)`: the rows that have features."""
        good: np.ndarray = self.errors == ""
        return good


def list_blocks(num_images: dict[str, int]) -> list[BlockKey]:
    """Divides the rows of every split into blocks."""
    return [
        BlockKey(split, number, start, min(start + BLOCK_ROWS, num_rows))
        for split, num_rows in num_images.items()
        for number, start in enumerate(range(0, num_rows, BLOCK_ROWS))
    ]


def write_block(block: Block, path: Path) -> None:
    """Writes a block so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, **vars(block))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read_block(path: Path) -> Block | None:
    """Reads a block; `None` when it is absent or damaged.

    The CRC-32 that `zipfile` keeps per array finds damage; a damaged block
    counts as absent and is computed again.
    """
    try:
        with (  # Opened here: NumPy leaves a file it refuses open.
            path.open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            return Block(**{name: arrays[name] for name in arrays.files})
    except (OSError, EOFError, ValueError, TypeError):
        return None
    except (zipfile.BadZipFile, RuntimeError):  # "Encrypted", by one bit.
        return None
