"""Batches: decoded pictures of a task on their way through the backbone."""

import dataclasses
import itertools
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator

import numpy as np

from embed.building.intake import DecodedImage
from embed.building.plan import Task
from embed.building.result import BadImage


@dataclasses.dataclass(frozen=True)
class Batch:
    """Decoded pictures of a task that run through the backbone together.

    Args:
        task: Whose they are.
        images: Those with pixels.
        bad: The task's others, with its last batch.
        is_last: Whether no other batch of the task comes.
    """

    task: Task
    images: list[DecodedImage]
    bad: list[BadImage]
    is_last: bool


@dataclasses.dataclass(frozen=True)
class EmbeddedBatch:
    """What came of a batch.

    Args:
        images: Its pictures, without their pixels.
        features: float32 `(num_images, num_views, feature_dim)`.
        bad: As the batch has them.
        is_last: The same.
    """

    images: list[DecodedImage]
    features: np.ndarray
    bad: list[BadImage]
    is_last: bool


def gather_batches(
    tasks: Iterable[Task],
    images: Iterator[DecodedImage],
    batch_size: int,
    on_task: Callable[[Task], None],
) -> Iterator[Batch]:
    """Yields the good images of tasks in batches, each task's by themselves."""
    for task in tasks:
        on_task(task)
        good: list[DecodedImage] = []
        bad: list[BadImage] = []
        for image in itertools.islice(images, len(task.rows)):
            if image.pixels is None:
                bad.append(
                    BadImage(image.row, image.content_digest, image.error)
                )
                continue
            if len(good) == batch_size:
                yield Batch(task, good, [], is_last=False)
                good = []
            good.append(image)
        yield Batch(task, good, bad, is_last=True)
