"""Judge a run on the test split, from cached features or from pictures."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embed.cache import FeatureCache
from embed.console import Console
from embed.errors import PipelineError
from embed.origin import decoder_of
from embed.origin import load_backbones_of
from embed.origin import read_pictures
from embed.splits import Selection
from head.evaluating.answers import Answers
from head.evaluating.evaluation import Evaluation
from head.evaluating.evaluation import measure_answers
from head.evaluating.groups import Groups
from head.evaluating.groups import find_groups
from head.run import Run
from head.view_model import ViewModel

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 32  # Pictures a call of the stitched model.
PREDICT_BATCH = 1024  # Vectors a call of the head.
# Rows in memory at a time: whole batches, so that the bits do not depend on it.
CHUNK_ROWS = 4 * PREDICT_BATCH


def evaluate(
    run: Run,
    cache: FeatureCache,
    *,
    is_averaged: bool = False,
    is_end_to_end: bool = False,
    groups: Groups | None = None,
    console: Console | None = None,
) -> Evaluation:
    """Measures a run on the test split.

    Args:
        run: What to judge.
        cache: The one it was made on.
        is_averaged: Whether the logits of the views that the run chose on
            validation images are averaged, and compared with the plain one's.
        is_end_to_end: Whether to start from the pictures, through the
            stitched model, instead of from the cached features.
        groups: Class numbers by group; default: those that are built in.
        console: Receives progress.

    Raises:
        StaleCacheError: If the run was made on another cache.
        PipelineError: If a view or a picture is missing.
    """
    run.require_cache(cache)
    require_views(cache, is_averaged=is_averaged)
    if groups is None:
        groups = find_groups(cache.spec.class_names)
    image_ids = cache.image_ids("test")
    head = run.load_head()
    views = run.views(is_averaged=is_averaged)
    if is_end_to_end:
        logits = _logits_of_pictures(
            cache, head, image_ids, views, console or Console(is_quiet=True)
        )
    else:
        logits = _logits_of_cache(cache, head, views)
    answers = Answers(
        labels=cache.labels("test"),
        image_ids=image_ids,
        logits_of_views=logits,
        class_names=cache.spec.class_names,
        views=views,
        is_end_to_end=is_end_to_end,
        temperature=run.record.temperature,
    )
    return measure_answers(answers, groups)


def logits_of_features(head: "keras.Model", features: np.ndarray) -> np.ndarray:
    """Returns the logits of cached features, averaged over their views.

    Args:
        head: Features to logits.
        features: `(num_images, num_views, feature_dim)`.

    Returns:
        float32 `(num_images, num_classes)`.
    """
    means: np.ndarray = _logits_of_views(head, features).mean(axis=1)
    return means


def require_views(cache: FeatureCache, *, is_averaged: bool) -> None:
    """Refuses to average views that a cache does not hold.

    Raises:
        PipelineError: Says how to build one that does.
    """
    if is_averaged and len(cache.spec.views) == 1:
        raise PipelineError(
            f"The cache {cache.path} holds no mirrored view, nor any other to "
            "average. Expected: views plain and flip, or more. Received: "
            f"{', '.join(cache.spec.views)}. Build one with "
            "`python -m embed build-cache --views flip`, or leave out `--tta`."
        )


def columns_of(cache: FeatureCache, views: Sequence[str]) -> list[int]:
    """Returns where views lie among those of a cache."""
    return [cache.spec.views.index(view) for view in views]


def _logits_of_views(head: "keras.Model", features: np.ndarray) -> np.ndarray:
    """Returns the logits, `(num_images, num_views, num_classes)`."""
    return np.stack(
        [
            # View by view: the plain one has the same bits alone.
            head.predict(of_view, batch_size=PREDICT_BATCH, verbose=0)
            for of_view in features.swapaxes(0, 1)
        ],
        axis=1,
    )


def _logits_of_cache(
    cache: FeatureCache, head: "keras.Model", views: tuple[str, ...]
) -> np.ndarray:
    """Runs the head over the test rows, a few at a time.

    Returns:
        float32 `(num_images, num_views, num_classes)`.
    """
    rows = np.arange(cache.num_images["test"])
    columns = columns_of(cache, views)
    return np.concatenate(
        [
            _logits_of_views(
                head,
                cache.take(
                    Selection("test", rows[start : start + CHUNK_ROWS])
                ).features[:, columns],
            )
            for start in range(0, len(rows), CHUNK_ROWS)
        ]
    )


def _logits_of_pictures(
    cache: FeatureCache,
    head: "keras.Model",
    image_ids: tuple[str, ...],
    views: tuple[str, ...],
    console: Console,
) -> np.ndarray:
    """Runs the stitched model over the test pictures.

    Returns:
        float32 `(num_images, num_views, num_classes)`.
    """
    model = ViewModel(load_backbones_of(cache), head, views, decoder_of(cache))
    pictures = read_pictures(cache, "test", image_ids)
    logits = []
    with console.progress("Evaluating", len(image_ids), "pictures") as progress:
        while batch := list(itertools.islice(pictures, BATCH_SIZE)):
            logits.append(model.answer(batch))
            progress.advance(len(batch))
    return np.concatenate(logits)
