"""What a comparison of caches came to, as it is stored and printed."""

import pydantic

from head.evaluating.intervals import Interval
from head.spec import HeadSpec


class Contestant(pydantic.BaseModel, frozen=True, extra="forbid"):
    """How a head does on one cache.

    Args:
        cache: Its path.
        fingerprint: Of its spec.
        backbone: What made its features.
        image_size: `(height, width)` in pixels.
        views: Names of its views.
        precision: What the backbone computed in.
        dtype: What the features are stored in.
        feature_dim: Features of a view.
        num_bytes: Size of its file, and of its parts if it has some.
        views_per_second: Of the last pass that built it; `None` where nothing
            was computed.
        engine: What ran the backbone then.
        host: Where.
        val_accuracy: Share of the validation images that are right by their
            plain view, mean of the seeds.
        val_accuracies: The same with each seed.
        interval: Of the mean, 95 %, other images being drawn.
        difference: From the mean of the first cache; `None` for the first.
        difference_interval: Of that, 95 %, image by image.
        val_accuracy_all_views: The mean where the logits of all views of an
            image are averaged.
        ridge_accuracy: Of ridge regression; `None` where memory is short.
        train_seconds: Of a training, mean of the seeds.
    """

    cache: str
    fingerprint: str
    backbone: str
    image_size: tuple[int, int]
    views: tuple[str, ...]
    precision: str
    dtype: str
    feature_dim: int
    num_bytes: int
    views_per_second: float | None
    engine: str
    host: str
    val_accuracy: float
    val_accuracies: tuple[float, ...]
    interval: Interval
    difference: float | None = None
    difference_interval: Interval | None = None
    val_accuracy_all_views: float
    ridge_accuracy: float | None
    train_seconds: float


class CacheComparison(pydantic.BaseModel, frozen=True, extra="forbid"):
    """How a head does on each of several caches of the same pictures.

    Args:
        spec: The head.
        seeds: With which it was trained on each.
        num_val: Number of validation images.
        caches: As they were given; the first is what the others are compared
            with.
        seconds: Of all of it.
    """

    spec: HeadSpec
    seeds: tuple[int, ...]
    num_val: int
    caches: tuple[Contestant, ...]
    seconds: float


class FinishedContest(pydantic.BaseModel, frozen=True, extra="forbid"):
    """How one cache did, kept until all have: a comparison goes on from it.

    Args:
        contestant: Its figures, but for the difference to the first.
        drawn: Accuracy on each draw of images.
        num_val: Validation images.
        seconds: Of its trainings and figures.
    """

    contestant: Contestant
    drawn: tuple[float, ...]
    num_val: int
    seconds: float
