"""Blocks: fixed ranges of rows, computed together and then safe on disk.

A build computes blocks in any order, in any process; resuming it is computing
what is in none. Batches never cross a block. A block is one `.npz` file in
`NAME.h5.building/SPLIT/`, written beside its name and then moved there, or an
object in a store. It holds the rows that this build computed, and says itself
which they are:

    image_ids        utf-8 (num_rows,)      fixed length
    features         float32 or float16 (num_rows, num_views, feature_dim)
    content_digests  uint8 (num_rows, 32)   SHA-256 of each encoded image
    is_oriented      bool (num_rows,)       has an EXIF orientation
    stamps           int64 (num_rows, 3)    size, mtime and ctime of its file
"""

import dataclasses
import io
import os
import secrets
import threading
import zipfile
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Literal

import numpy as np

from embed.building.remote import AnyPath
from embed.building.remote import RemotePath
from embed.errors import StorageError

BLOCK_ROWS = 256  # 3.7 MB of 1792-d features in two views; 5 s of a CPU.

# Blocks are read in several threads, and NumPy parses the header of an array
# as Python. Two threads that parse at once may fail in Python 3.11 ("AST
# constructor recursion depth mismatch", python/cpython#106905).
_PARSING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class BlockKey:
    """Which rows of which split a block is for.

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

    def path_in(self, blocks_dir: AnyPath) -> AnyPath:
        """Returns where the block lies in the folder of a build's blocks."""
        return blocks_dir / self.split / f"{self.number:08}.npz"


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows that were computed, each with what it is known by.

    Args:
        image_ids: UTF-8 `(num_rows,)`.
        features: `(num_rows, num_views, feature_dim)`.
        content_digests: uint8 `(num_rows, 32)`.
        is_oriented: Booleans `(num_rows,)`: carries an EXIF orientation,
            which is not applied.
        stamps: int64 `(num_rows, 3)`: size, mtime and ctime of its file when
            it was read; -1 where they tell nothing.
    """

    image_ids: np.ndarray
    features: np.ndarray
    content_digests: np.ndarray
    is_oriented: np.ndarray
    stamps: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)

    def take(self, rows: np.ndarray) -> "Block":
        """Returns some of the rows."""
        return Block(**{name: v[rows] for name, v in vars(self).items()})


BLOCK_COLUMNS = tuple(field.name for field in dataclasses.fields(Block))
INDEX_COLUMNS = tuple(name for name in BLOCK_COLUMNS if name != "features")


def join_blocks(blocks: Sequence[Block]) -> Block:
    """Returns the rows of all of them."""
    return Block(
        **{
            name: np.concatenate([getattr(block, name) for block in blocks])
            for name in BLOCK_COLUMNS
        }
    )


def list_blocks(num_images: dict[str, int]) -> list[BlockKey]:
    """Divides the rows of every split into blocks."""
    return [
        BlockKey(split, number, start, min(start + BLOCK_ROWS, num_rows))
        for split, num_rows in num_images.items()
        for number, start in enumerate(range(0, num_rows, BLOCK_ROWS))
    ]


def write_block(block: Block, path: AnyPath) -> None:
    """Writes a block so that it is there whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    if isinstance(path, RemotePath):
        buffer = io.BytesIO()
        np.savez(buffer, **vars(block))
        path.write_bytes(buffer.getvalue())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another may write the same block: a worker that was taken for dead.
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, **vars(block))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        error.filename = error.filename or str(part)  # For the message.
        raise
    finally:
        part.unlink(missing_ok=True)


def add_to_block(block: Block, path: AnyPath, there: Block | None) -> None:
    """Writes a block with the rows that are there already.

    A row takes the place of an older one of the same picture.

    Args:
        block: The new rows.
        path: Where it lies.
        there: What `read_block` returned of it.
    """
    if there is not None:
        is_kept = ~np.isin(there.image_ids, block.image_ids)
        block = join_blocks([there.take(np.flatnonzero(is_kept)), block])
    write_block(block, path)


def read_block(path: AnyPath) -> Block | None:
    """Reads a block; `None` when it is absent or damaged.

    Raises:
        StorageError: If a store does not answer.
    """
    arrays = read_arrays(path, BLOCK_COLUMNS)
    return Block(**arrays) if arrays is not None else None


def read_arrays(
    path: AnyPath, names: Iterable[str]
) -> dict[str, np.ndarray] | None:
    """Reads some arrays of an `.npz` file; `None` if one cannot be read.

    The CRC-32 that `zipfile` keeps per array finds damage; what is damaged
    counts as absent.

    Raises:
        StorageError: If a store does not answer.
    """
    try:
        with (  # Opened here: it may be an object of a store.
            path.open("rb") as file,
            zipfile.ZipFile(file) as arrays,
        ):
            return {n: _unpack_array(arrays.read(f"{n}.npy")) for n in names}
    except StorageError:  # Nobody knows whether it is there.
        raise
    except (OSError, EOFError, ValueError, TypeError, KeyError):
        return None
    except (zipfile.BadZipFile, RuntimeError):  # "Encrypted", by one bit.
        return None


def _unpack_array(content: bytes) -> np.ndarray:
    """Returns the array of an `.npy` file, in the memory of its bytes.

    Raises:
        ValueError: If it is no such file, or one of Python objects.
    """
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)  # Version 1.0: headers under 64 KiB.
    with _PARSING:
        header = np.lib.format.read_array_header_1_0(file)
    shape, is_fortran, dtype = header
    order: Literal["C", "F"] = "F" if is_fortran else "C"
    values = np.frombuffer(content, dtype, offset=file.tell())
    return values.reshape(shape, order=order)
