"""Predictions from a cache: its features through the head of a run.

Nothing is decoded and no backbone runs. The cache may be of any pictures, with
labels or without, as long as the backbone saw them as it saw those that the
run was trained on.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embed.artifacts import RUNS
from embed.artifacts import create_stale_error
from embed.artifacts import newest_first
from embed.cache import FeatureCache
from embed.errors import StaleCacheError
from embed.spec import CacheSpec
from embed.spec import move_to_pictures_of
from embed.splits import Selection
from head.evaluating.evaluate import CHUNK_ROWS
from head.evaluating.evaluate import logits_of_features
from head.evaluating.metrics import softmax
from head.predicting.neighbours import Neighbour
from head.predicting.neighbours import TrainingPictures
from head.predicting.prediction import Prediction
from head.run import RECORD
from head.run import Run
from head.run import find_run
from head.run import load_run


def find_run_for(
    artifacts_dir: Path, run_dir: Path | None, cache: FeatureCache
) -> Run:
    """Returns the run that is named, or else the newest that fits a cache.

    Args:
        artifacts_dir: Folder of everything written.
        run_dir: Folder of a run.
        cache: What it is to answer for.

    Raises:
        MissingArtifactError: If there is none.
        StaleCacheError: If it was made on other features.
    """
    if run_dir is None:
        for path in newest_first(artifacts_dir, f"{RUNS}/*/{RECORD}"):
            run = load_run(path.parent)
            if has_features_of(cache, run):
                return run
    run = find_run(artifacts_dir, run_dir)
    if not has_features_of(cache, run):
        raise refuse_features(
            run.record.cache_spec, cache, f"The run {run.directory}"
        )
    return run


def has_features_of(cache: FeatureCache, run: Run) -> bool:
    """Tells whether a cache holds features of the kind a run was made on."""
    made_on = run.record.cache_spec
    return move_to_pictures_of(made_on, cache.spec) == cache.spec


def refuse_features(
    made_on: CacheSpec, cache: FeatureCache, subject: str
) -> StaleCacheError:
    """Returns the error of a cache whose features are of another kind.

    Args:
        made_on: What a head was made on.
        cache: What it was given.
        subject: The head, e.g. `"The run runs/a"`.
    """
    return create_stale_error(
        move_to_pictures_of(made_on, cache.spec),
        cache,
        subject=f"{subject} was made",
        advice="Embed the pictures as it saw its own, with "
        "`python -m embed build-cache`.",
    )


def predict_cached(
    run: Run,
    cache: FeatureCache,
    *,
    training: TrainingPictures | None = None,
    num_neighbours: int = 0,
) -> Iterator[Prediction]:
    """Yields what a run says of the plain view of each picture of a cache.

    Args:
        run: What answers.
        cache: Of features that it was made for.
        training: Where neighbours are looked up, if they are asked for.
        num_neighbours: Of each picture.

    Raises:
        CorruptCacheError: If a row is not what was written.
    """
    head = run.load_head()
    for split, num_images in cache.num_images.items():
        for start in range(0, num_images, CHUNK_ROWS):
            rows = np.arange(start, min(start + CHUNK_ROWS, num_images))
            taken = cache.take(Selection(split, rows))
            features = taken.features[:, :1]
            # Not calibrated, as those that an exported model serves.
            probabilities = softmax(logits_of_features(head, features))
            neighbours: list[tuple[Neighbour, ...]] = [()] * len(rows)
            if training is not None:
                neighbours = training.find_nearest(
                    features[:, 0], num_neighbours
                )
            for image_id, row, alike in zip(
                taken.image_ids, probabilities, neighbours, strict=True
            ):
                # The same id may be in both splits.
                prefix = f"{split}/" if len(cache.num_images) > 1 else ""
                yield Prediction(
                    f"{prefix}{image_id}", "", row, neighbours=alike
                )
