"""The one pass: encoded images to pixels to views to blocks of features.

Threads decode the next images while the engine runs on the current batch.
Each image is read and decoded once, whatever the number of views. A picture
that cannot be decoded is set aside with its reason, and takes no place in a
batch.
"""

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embed.ahead import map_ahead
from embed.building.blocks import BLOCK_ROWS
from embed.building.plan import Task
from embed.decoding.header import read_header
from embed.devices import num_cpu_threads
from embed.engines import Engine
from embed.errors import EngineError
from embed.images import ImageDecodeError
from embed.images import ImageDecoder
from embed.images import digest_content
from embed.rows import DIGEST_BYTES
from embed.sources import Picture
from embed.sources import Source
from embed.views import VIEWS

MOST_ROWS = 64 * BLOCK_ROWS  # Read in one go: more gain nothing.
BATCHES_AHEAD = 2  # Decoded and waiting, so that the engine never does.


@dataclasses.dataclass(frozen=True)
class DecodedImage:
    """One picture of a source, ready for the backbone.

    Args:
        row: Its row number in the split.
        pixels: float32 `(height, width, 3)` in [0, 1], `None` when bad.
        content_digest: SHA-256 of the encoded bytes, empty when unreadable.
        is_oriented: Whether it carries an EXIF orientation.
        error: Why it cannot be decoded, or `""`.
    """

    row: int
    pixels: np.ndarray | None
    content_digest: bytes
    is_oriented: bool
    error: str


@dataclasses.dataclass(frozen=True)
class BadImage:
    """A picture that cannot be decoded.

    Args:
        row: Its row number in the split.
        content_digest: SHA-256 of the encoded bytes, empty when unreadable.
        reason: Why.
    """

    row: int
    content_digest: bytes
    reason: str


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """What came of a task.

    Args:
        rows: Row numbers of the good pictures, `(num_rows,)`.
        features: `(num_rows, num_views, feature_dim)`, of the task's views.
        content_digests: uint8 `(num_rows, 32)`.
        is_oriented: Booleans `(num_rows,)`.
        bad: The other pictures.
    """

    rows: np.ndarray
    features: np.ndarray
    content_digests: np.ndarray
    is_oriented: np.ndarray
    bad: tuple[BadImage, ...]


class Embedder:
    """Computes features; counts what it does and how long it takes.

    Args:
        source: Where encoded images come from.
        engine: What runs the backbone.
        decoder: What turns them into pixels.
        feature_dim: Number of features a vector.
        dtype: What features are stored in.
    """

    def __init__(
        self,
        *,
        source: Source,
        engine: Engine,
        decoder: ImageDecoder,
        feature_dim: int,
        dtype: str,
    ) -> None:
        self._source = source
        self._engine = engine
        self._decode = decoder
        self._feature_dim = feature_dim
        self._dtype = np.dtype(dtype)
        self._lock = threading.Lock()
        self.num_decoded = 0
        self.num_computed = 0
        self.seconds = {"wait_for_images": 0.0, "forward": 0.0}

    def compute(
        self,
        tasks: Sequence[Task],
        on_views: Callable[[int], None] = lambda num_views: None,
        on_first_images: Callable[[np.ndarray], None] = lambda images: None,
        on_task: Callable[[Task], None] = lambda task: None,
    ) -> Iterator[tuple[Task, TaskResult]]:
        """Yields the result of each task as soon as it is whole.

        Args:
            tasks: What to compute, in order.
            on_views: Called with the number of views that are done with: run
                through the backbone, or of pictures that are bad.
            on_first_images: Called once, before anything is embedded, with
                the first good images `(num_images, height, width, 3)`, a
                batch at most.
            on_task: Called before a task is run through the backbone.
        """
        num_ahead = BATCHES_AHEAD * self._engine.batch_size
        with ThreadPoolExecutor(num_cpu_threads()) as pool:
            images = map_ahead(
                pool, self._decode_one, self._read(tasks), num_ahead
            )
            first = list(itertools.islice(images, self._engine.batch_size))
            pixels = [i.pixels for i in first if i.pixels is not None]
            if pixels:
                on_first_images(np.stack(pixels))
            images = itertools.chain(first, images)
            for task in tasks:
                on_task(task)
                of_task = itertools.islice(images, len(task.rows))
                yield task, self._compute_task(task, of_task, on_views)

    def _read(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Picture]]:
        """Reads the pictures of all tasks, many in one go.

        A TFDS file is read from its start to come to a row.
        """
        for split, rows in _join_rows(tasks):
            pictures = self._source.read(split, rows)
            yield from zip(rows, pictures, strict=True)

    def _decode_one(self, read: tuple[int, Picture]) -> DecodedImage:
        row, picture = read
        if picture.problem:
            return DecodedImage(row, None, b"", False, picture.problem)
        with self._lock:
            self.num_decoded += 1
        header = read_header(picture.encoded)
        pixels, error = None, ""
        try:
            pixels = self._decode(picture.encoded, header)
        except ImageDecodeError as problem:
            error = str(problem)
        return DecodedImage(
            row=row,
            pixels=pixels,
            content_digest=digest_content(picture.encoded),
            is_oriented=header.is_oriented,
            error=error,
        )

    def _compute_task(
        self,
        task: Task,
        images: Iterator[DecodedImage],
        on_views: Callable[[int], None],
    ) -> TaskResult:
        num_views = len(task.views)
        features = [np.empty((0, num_views, self._feature_dim), np.float32)]
        good: list[DecodedImage] = []
        bad: list[BadImage] = []
        while batch := self._next_batch(images, bad):
            pixels = np.stack([i.pixels for i in batch if i.pixels is not None])
            began = time.monotonic()
            of_views = [self._engine(VIEWS[v](pixels)) for v in task.views]
            self.seconds["forward"] += time.monotonic() - began
            features.append(np.stack(of_views, axis=1))
            good += [dataclasses.replace(i, pixels=None) for i in batch]
            self.num_computed += len(batch) * num_views
            on_views(len(batch) * num_views)
        on_views(len(bad) * num_views)
        digests = b"".join(image.content_digest for image in good)
        with np.errstate(over="ignore"):  # Told below.
            stored = np.concatenate(features).astype(self._dtype)
        _require_finite(stored, task)
        return TaskResult(
            rows=np.array([image.row for image in good], np.int64),
            features=stored,
            content_digests=np.frombuffer(digests, np.uint8).reshape(
                len(good), DIGEST_BYTES
            ),
            is_oriented=np.array([i.is_oriented for i in good], bool),
            bad=tuple(bad),
        )

    def _next_batch(
        self, images: Iterator[DecodedImage], bad: list[BadImage]
    ) -> list[DecodedImage]:
        """Returns the next good images, and sets bad ones aside."""
        began = time.monotonic()
        batch: list[DecodedImage] = []
        for image in images:
            if image.pixels is None:
                bad.append(
                    BadImage(image.row, image.content_digest, image.error)
                )
                continue
            batch.append(image)
            if len(batch) == self._engine.batch_size:
                break
        self.seconds["wait_for_images"] += time.monotonic() - began
        return batch


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


def _require_finite(features: np.ndarray, task: Task) -> None:
    """Refuses features that are no numbers, or too large for their dtype.

    Raises:
        EngineError: Says what to do about it.
    """
    num_bad = int((~np.isfinite(features)).any(axis=(1, 2)).sum())
    if num_bad:
        raise EngineError(
            f"The features of {num_bad} pictures in block {task.key.number} of "
            f"{task.key.split} are no finite numbers in {features.dtype}. "
            "Expected: finite ones. What is finished is kept. Run again with "
            "`--engine tensorflow`, or without `--dtype float16`, which ends "
            "at 65,504."
        )
