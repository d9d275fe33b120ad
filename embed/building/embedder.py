"""The one pass: encoded images to pixels to views to blocks of features.

    read (the caller) -> decode (a thread a core) -> forward (a thread a stream)

Each stage works ahead of the next, a bounded amount; what is decoded waits
while a block is written. Each image is decoded
once, whatever the number of views; a mirror is one of pixels that are there
already. A picture that cannot be decoded is set
aside with its reason, and takes no place in a batch.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embed.ahead import map_ahead
from embed.building.batches import Batch
from embed.building.batches import EmbeddedBatch
from embed.building.batches import gather_batches
from embed.building.clock import StageClock
from embed.building.intake import DecodedImage
from embed.building.intake import Intake
from embed.building.plan import Task
from embed.building.result import BadImage
from embed.building.result import TaskResult
from embed.engines import Engine
from embed.engines.sized import SizedEngines
from embed.errors import EngineError
from embed.images import ImageDecoder
from embed.rows import DIGEST_BYTES
from embed.sources import Source
from embed.views import find_view
from embed.views import frames_of

NUM_FIRST = 32  # Images to choose an engine by: a batch of most of them.
BATCHES_AHEAD = 2  # Of each stream, decoded, so that it never waits.
LEAST_AHEAD = 16  # Images: some take much longer to decode than others.
BYTES_AHEAD = 300_000_000  # At most, of all frames: two blocks at 224 px.


class Embedder:
    """Computes the features of some tasks, and counts what it does.

    A context: its threads end with it.

    Args:
        source: Where encoded images come from.
        decoder: What turns them into pixels.
        tasks: What to compute, in order.
        feature_dim: Number of features a vector.
        dtype: What features are stored in.
        clock: Receives the seconds of each stage.
    """

    def __init__(
        self,
        *,
        source: Source,
        decoder: ImageDecoder,
        tasks: Sequence[Task],
        feature_dim: int,
        dtype: str,
        clock: StageClock,
    ) -> None:
        self._intake = Intake(source, decoder, tasks, clock)
        self._tasks = tasks
        self._image_size = decoder.image_size
        self._feature_dim = feature_dim
        self._dtype = np.dtype(dtype)
        self._clock = clock
        self._first = collections.deque[DecodedImage]()
        self.num_computed = 0

    def __enter__(self) -> "Embedder":
        self._intake.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._intake.__exit__(*error)

    @property
    def num_decoded(self) -> int:
        """Images decoded so far."""
        return self._intake.num_decoded

    def look_ahead(self) -> dict[tuple[int, int], np.ndarray]:
        """Decodes the first images, by which an engine is chosen and checked.

        Returns:
            The good ones by the sizes that any task needs, float32
            `(num_images, height, width, 3)`. Nothing where all pictures of
            all tasks are bad.
        """
        while more := self._intake.take(NUM_FIRST):
            self._first += more
            good = [i.pixels for i in more if i.pixels is not None]
            if good:
                return {
                    frame.size: np.stack([of_image[frame] for of_image in good])
                    for frame in reversed(self._intake.frames)
                }
        return {}

    def compute(
        self,
        engine: Engine | SizedEngines | None,
        on_views: Callable[[int], None] = lambda num_views: None,
        on_task: Callable[[Task], None] = lambda task: None,
        await_turn: Callable[[], object] = lambda: None,
    ) -> Iterator[tuple[Task, TaskResult]]:
        """Yields the result of each task as soon as it is whole.

        Args:
            engine: What runs the backbone; `None` where no picture is good.
            on_views: Called with the number of views that are done with: run
                through the backbone, or of pictures that are bad.
            on_task: Called before a task is run through the backbone.
            await_turn: Called before each batch, in the thread of a stream:
                returns when nobody else needs the engine.
        """
        num_streams = engine.num_streams if engine else 1
        batch_size = engine.batch_size if engine else 1
        num_ahead = min(
            max(BATCHES_AHEAD * num_streams * batch_size, LEAST_AHEAD),
            self._most_ahead(),
        )
        images = self._take_all(num_ahead)
        # What is computed without a pause between its tasks.
        runs = [[task] for task in self._tasks]
        if engine and engine.runs_ahead:
            runs = [list(self._tasks)]
        with ThreadPoolExecutor(num_streams) as streams:
            for tasks in runs:
                embedded = map_ahead(
                    streams,
                    functools.partial(self._embed, engine, await_turn),
                    gather_batches(tasks, images, batch_size, on_task),
                    num_ahead=num_streams,
                )
                for task in tasks:
                    yield task, self._collect(task, embedded, on_views)

    def _most_ahead(self) -> int:
        """Returns how many decoded images may wait."""
        num_bytes = sum(frame.num_bytes for frame in self._intake.frames)
        return max(BYTES_AHEAD // max(num_bytes, 1), 1)

    def _take_all(self, num_ahead: int) -> Iterator[DecodedImage]:
        """Yields all images, and keeps none that it has yielded."""
        while self._first:
            yield self._first.popleft()
        yield from self._intake.take_all(num_ahead)

    def _embed(
        self,
        engine: Engine | SizedEngines | None,
        await_turn: Callable[[], object],
        batch: Batch,
    ) -> EmbeddedBatch:
        """Runs a batch through the backbone, in the thread of a stream."""
        views = [find_view(name) for name in batch.task.views]
        shape = len(batch.images), len(views), self._feature_dim
        features = np.empty(shape, np.float32)
        if batch.images:
            if engine is None:
                raise AssertionError(
                    f"{len(batch.images)} images, and no engine to run them."
                )
            size = self._image_size
            good = [image.pixels for image in batch.images if image.pixels]
            pixels = {
                frame: _stack([of_image[frame] for of_image in good])
                for frame in frames_of(batch.task.views, size)
            }
            await_turn()
            with self._clock.measure("forward"):
                for frame, of_frame in pixels.items():
                    alike = [
                        n for n, v in enumerate(views) if v.frame(size) == frame
                    ]
                    features[:, alike] = engine.embed_views(
                        of_frame, [views[n].is_mirrored for n in alike]
                    )
        images = [dataclasses.replace(i, pixels=None) for i in batch.images]
        return EmbeddedBatch(images, features, batch.bad, batch.is_last)

    def _collect(
        self,
        task: Task,
        embedded: Iterator[EmbeddedBatch],
        on_views: Callable[[int], None],
    ) -> TaskResult:
        """Collects the batches of a task as they come."""
        num_views = len(task.views)
        features: list[np.ndarray] = []
        good: list[DecodedImage] = []
        bad: list[BadImage] = []
        for batch in embedded:
            features.append(batch.features)
            good += batch.images
            bad += batch.bad
            self.num_computed += len(batch.images) * num_views
            on_views((len(batch.images) + len(batch.bad)) * num_views)
            if batch.is_last:
                break
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


def _stack(images: Sequence[np.ndarray]) -> np.ndarray:
    """Returns images as a batch: of one without a copy."""
    return images[0][np.newaxis] if len(images) == 1 else np.stack(images)


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
