"""The first half of the pass: the pictures of tasks, read and decoded ahead.

The caller's thread reads, since a TFDS file is read from its start to come to
a row; as many threads as there are cores decode, each several pictures at once.
"""

import dataclasses
import itertools
import operator
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embed.ahead import map_ahead
from embed.building.blocks import BLOCK_ROWS
from embed.building.clock import StageClock
from embed.building.plan import Task
from embed.decoding.header import Header
from embed.decoding.header import read_header
from embed.devices import num_cpu_threads
from embed.images import NUM_TOGETHER
from embed.images import ImageDecodeError
from embed.images import ImageDecoder
from embed.images import digest_content
from embed.sources import Picture
from embed.sources import Source
from embed.views import Frame
from embed.views import frames_of

MOST_ROWS = 64 * BLOCK_ROWS  # Read in one go: more gain nothing.


# A picture of a split by its row, and what of it is wanted.
Read = tuple[int, Picture, tuple[Frame, ...]]


@dataclasses.dataclass(frozen=True)
class DecodedImage:
    """One picture of a source, ready for the backbone.

    Args:
        row: Its row number in the split.
        pixels: By frame float32 `(height, width, 3)` in [0, 1], `None` when
            bad.
        content_digest: SHA-256 of the encoded bytes, empty when unreadable.
        is_oriented: Whether it carries an EXIF orientation.
        error: Why it cannot be decoded, or `""`.
    """

    row: int
    pixels: dict[Frame, np.ndarray] | None
    content_digest: bytes
    is_oriented: bool
    error: str


class Intake:
    """Reads and decodes the pictures of tasks in order, each once.

    A context: its threads end with it.

    Args:
        source: Where encoded images come from.
        decoder: What turns them into pixels.
        tasks: Whose pictures, in which order.
        clock: Receives the seconds of `read` and `decode`.

    Attributes:
        frames: Those that any task needs.
        num_decoded: Pictures decoded so far.
    """

    def __init__(
        self,
        source: Source,
        decoder: ImageDecoder,
        tasks: Sequence[Task],
        clock: StageClock,
    ) -> None:
        self._source, self._decoder, self._clock = source, decoder, clock
        self.frames = tuple(
            dict.fromkeys(f for task in tasks for f in self._find_frames(task))
        )
        self._pictures = self._read(tasks)
        self._pool = ThreadPoolExecutor(num_cpu_threads())
        self.num_decoded = 0

    def __enter__(self) -> "Intake":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, num_images: int) -> list[DecodedImage]:
        """Returns the next images, fewer where no more are left.

        They come with the frames of all tasks.
        """
        pictures = itertools.islice(self._pictures, num_images)
        whole = ((row, picture, self.frames) for row, picture, _ in pictures)
        return list(self._decode_ahead(whole, num_images))

    def take_all(self, num_ahead: int) -> Iterator[DecodedImage]:
        """Yields the other images, decoding so many ahead."""
        return self._decode_ahead(self._pictures, num_ahead)

    def _decode_ahead(
        self, pictures: Iterable[Read], num_ahead: int
    ) -> Iterator[DecodedImage]:
        size = NUM_TOGETHER if num_ahead > NUM_TOGETHER else 1
        groups = map_ahead(
            self._pool, self._decode, _group(pictures, size), num_ahead // size
        )
        for image in itertools.chain.from_iterable(groups):
            self.num_decoded += image.content_digest != b""
            yield image

    def _read(self, tasks: Sequence[Task]) -> Iterator[Read]:
        """Yields the pictures of all tasks, many being read in one go."""
        frames = itertools.chain.from_iterable(
            itertools.repeat(self._find_frames(task), len(task.rows))
            for task in tasks
        )
        for split, rows in _join_rows(tasks):
            pictures = iter(self._source.read(split, rows))
            for row in rows:
                with self._clock.measure("read"):
                    picture = next(pictures)
                yield row, picture, next(frames)

    def _find_frames(self, task: Task) -> tuple[Frame, ...]:
        """Returns what must be decoded of each picture of a task."""
        return frames_of(task.views, self._decoder.image_size)

    def _decode(self, group: list[Read]) -> list[DecodedImage]:
        """Decodes pictures of which the same frames are wanted."""
        readable = [picture for _, picture, _ in group if not picture.problem]
        encoded = [picture.encoded for picture in readable]
        _, _, frames = group[0]
        with self._clock.measure("decode"):
            headers = [read_header(one) for one in encoded]
            found = self._decoder.decode_all(encoded, frames, headers)
            decoded = zip(encoded, headers, found, strict=True)
            return [
                DecodedImage(row, None, b"", False, picture.problem)
                if picture.problem
                else _describe(row, frames, *next(decoded))
                for row, picture, _ in group
            ]


def _group(pictures: Iterable[Read], size: int) -> Iterator[list[Read]]:
    """Yields so many pictures at most of which the same frames are wanted."""
    for _, alike in itertools.groupby(pictures, key=operator.itemgetter(2)):
        while group := list(itertools.islice(alike, size)):
            yield group


def _describe(
    row: int,
    frames: Sequence[Frame],
    encoded: bytes,
    header: Header,
    found: list[np.ndarray] | ImageDecodeError,
) -> DecodedImage:
    """Returns a picture with what its decoder found."""
    pixels, error = None, ""
    if isinstance(found, ImageDecodeError):
        error = str(found)
    else:
        pixels = dict(zip(frames, found, strict=True))
    return DecodedImage(
        row=row,
        pixels=pixels,
        content_digest=digest_content(encoded),
        is_oriented=header.is_oriented,
        error=error,
    )


def _join_rows(tasks: Iterable[Task]) -> Iterator[tuple[str, list[int]]]:
    """Yields the rows of tasks in order, as many as ascend in a split."""
    split, joined = "", list[int]()
    for task in tasks:
        rows = task.rows.tolist()
        is_next = split == task.key.split and joined[-1] < rows[0]
        if joined and not (is_next and len(joined) < MOST_ROWS):
            yield split, joined
            joined = []
        split = task.key.split
        joined += rows
    if joined:
        yield split, joined
