"""What people look at: training images, learning curves, predictions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embed.cache import FeatureCache
from embed.origin import decode_pictures
from embed.origin import decode_views
from embed.origin import read_pictures
from embed.splits import sample_rows
from head.evaluating.evaluation import Evaluation
from head.evaluating.groups import Groups
from head.plots import Prediction
from head.plots import draw_predictions
from head.plots import draw_training_images

SALT = "pictures"  # Of the samples.
NUM_TRAINING_IMAGES = 30  # 6 x 5, as in the reference.
NUM_PREDICTIONS = 12  # 3 x 4 a group, as in the reference.


def draw_sample(cache: FeatureCache, path: Path) -> None:
    """Draws training images with their class names, the views in turn.

    Raises:
        SourceError: If the pictures are not there any more.
    """
    image_ids = cache.image_ids("train")
    rows = sample_rows(image_ids, NUM_TRAINING_IMAGES, SALT)
    wanted = [image_ids[row] for row in rows]
    encoded = read_pictures(cache, "train", wanted)
    views = [
        cache.spec.views[n % len(cache.spec.views)] for n in range(len(rows))
    ]
    draw_training_images(
        [
            decode_views(cache, one, [view])[0]
            for one, view in zip(encoded, views, strict=True)
        ],
        [
            cache.spec.class_names[label]
            for label in cache.labels("train")[rows]
        ],
        path,
        view_names=views,
    )


def draw_groups(
    evaluation: Evaluation,
    groups: Groups,
    cache: FeatureCache,
    directory: Path,
) -> list[Path]:
    """Draws test images of each group under its accuracy.

    Args:
        evaluation: What was measured.
        groups: What it was measured by: class numbers by group.
        cache: Knows the way to the pictures.
        directory: Where drawings go.

    Returns:
        The paths of the pictures, `group-NAME.png`.

    Raises:
        SourceError: If the pictures are not there any more.
    """
    answers, predicted = evaluation.answers, evaluation.answers.predicted
    names = answers.class_names
    image_ids, labels = answers.image_ids, answers.labels
    samples = {}
    for group, classes in groups.items():
        members = np.flatnonzero(np.isin(labels, classes))
        ids = [image_ids[row] for row in members]
        samples[group] = members[sample_rows(ids, NUM_PREDICTIONS, SALT)]
    wanted = sorted({int(row) for rows in samples.values() for row in rows})
    pixels = dict(
        zip(
            wanted,
            _decode(cache, "test", [image_ids[row] for row in wanted]),
            strict=True,
        )
    )
    paths = []
    for group, metrics in evaluation.groups.items():
        path = directory / f"group-{group}.png"
        draw_predictions(
            group,
            metrics.top1,
            metrics.num_images,
            [
                Prediction(
                    image=pixels[int(row)],
                    predicted=names[predicted[row]],
                    true=names[labels[row]],
                )
                for row in samples[group]
            ],
            path,
        )
        paths.append(path)
    return paths


def _decode(
    cache: FeatureCache, split: str, image_ids: Sequence[str]
) -> list[np.ndarray]:
    return list(decode_pictures(cache, split, image_ids))
