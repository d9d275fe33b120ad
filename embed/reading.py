"""Picture files by their paths, read and decoded ahead in threads.

For whoever has paths and no dataset. The pass over a source is
`embed/building/intake.py`; bytes and pixels come from the same functions.
"""

import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from embed.ahead import map_ahead
from embed.devices import num_cpu_threads
from embed.images import ImageDecodeError
from embed.sources.files import read_file

Decoder = Callable[[bytes], np.ndarray]


@dataclasses.dataclass(frozen=True)
class PictureFile:
    """A picture file, before or after it was decoded.

    Args:
        path: As it was given.
        problem: Why it has no pixels, or `""`. One that has a problem before
            is not opened.
        pixels: float32 `(height, width, 3)` in [0, 1], once it is decoded; or
            whatever the decoder makes of it.
    """

    path: str
    problem: str = ""
    pixels: np.ndarray | None = None


def decode_files(
    files: Iterable[PictureFile], decoder: Decoder, num_ahead: int
) -> Iterator[PictureFile]:
    """Yields files decoded, in order; no file stops the others.

    Args:
        files: Taken as they are needed, and so without an end if need be.
        decoder: What turns them into pixels, an `ImageDecoder` or the like.
        num_ahead: Files that are decoded before they are asked for, at most.
    """
    pool = ThreadPoolExecutor(num_cpu_threads())
    try:
        decode = functools.partial(_decode, decoder=decoder)
        yield from map_ahead(pool, decode, files, num_ahead)
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(file: PictureFile, decoder: Decoder) -> PictureFile:
    if file.problem:
        return file
    try:
        pixels = decoder(read_file(Path(file.path)))
    except ImageDecodeError as error:
        return dataclasses.replace(file, problem=str(error))
    except (OSError, ValueError) as error:  # A null in a path is the latter.
        reason = getattr(error, "strerror", None) or error
        problem = f"it cannot be read: {reason}"
        return dataclasses.replace(file, problem=problem)
    return dataclasses.replace(file, pixels=pixels)
