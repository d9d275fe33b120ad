"""What more views are worth: a head on all of a cache, and on its first two.

    python -m benchmarks.views CACHE

Cross-validation on the train split, 5 folds drawn anew for each of 5 seeds;
both heads train by the reference recipe, and are right or wrong on the same
images, with the same seed. The test split is not read. Three ways to answer:
the plain view alone, the mean of all views that a head was trained on, and of
those that `--tta` averages, which a head on a part of the training images
chooses on the other part. The figures to quote are the differences to the mean
of two views, seed by seed, with an interval over the images: each counts once,
by the mean of its seeds. The last line is JSON.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from benchmarks.accuracy import NUM_FOLDS
from benchmarks.accuracy import NUM_SEEDS
from benchmarks.accuracy import compute_logits
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import print_result
from benchmarks.measure import print_table
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.devices import num_cpu_threads
from embed.devices import prepare_devices
from embed.devices import use_threads
from embed.rows import Rows
from embed.splits import Selection
from embed.splits import hash_id
from embed.splits import split_train
from head.evaluating.view_choice import choose_views
from head.spec import RECIPES
from head.spec import HeadSpec

NUM_FEWER = 2
FEWER_ALONE, FEWER = "two: plain", "two: both"
ALONE, ALL, CHOSEN = "all: plain", "all: mean of all", "all: mean of the chosen"
WAYS = (FEWER_ALONE, FEWER, ALONE, ALL, CHOSEN)
NORMAL_95 = 1.96  # Standard errors on either side of a mean.


def main() -> None:
    """Measures and prints a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path, help="of plain, flip and more")
    arguments = parser.parse_args()
    num_threads = num_cpu_threads()
    use_threads(num_threads)
    prepare_devices()
    cache = open_cache(arguments.cache)
    hits = validate(cache, RECIPES["reference"])
    rows = [["head", "top-1 %", "points more than two views", "95 %"]]
    for name, of_way in hits.items():
        points = 100 * (of_way.mean(axis=1) - hits[FEWER].mean(axis=1))
        low, high = find_interval(of_way, hits[FEWER])
        rows.append(
            [
                name,
                _describe(100 * of_way.mean(axis=1)),
                _describe(points),
                f"{low:+.2f} to {high:+.2f}",
            ]
        )
    print_table(
        f"{', '.join(cache.spec.views)}: {cache.num_images['train']:,} images, "
        f"{NUM_FOLDS} folds, {NUM_SEEDS} seeds, means (min-max):",
        rows,
    )
    of_seeds = [
        {
            name: {"percent": float(100 * of_way[seed].mean())}
            for name, of_way in hits.items()
        }
        for seed in range(NUM_SEEDS)
    ]
    print_result(
        "views",
        {
            "views": cache.spec.views,
            "fingerprint": cache.fingerprint,
            "points": {
                name: float(100 * (of_way - hits[FEWER]).mean())
                for name, of_way in hits.items()
            },
            "intervals": {
                name: find_interval(of_way, hits[FEWER])
                for name, of_way in hits.items()
            },
        },
        Rounds(of_seeds),
        Options(num_rounds=NUM_SEEDS, is_small=False),
        threads=str(num_threads),
    )


def validate(cache: FeatureCache, spec: HeadSpec) -> dict[str, np.ndarray]:
    """Returns by way whether images are answered rightly.

    Returns:
        Of each way floats, 0 or 1, `(num_seeds, num_images)`.
    """
    rows = cache.take(Selection("train"))
    hits = {name: np.zeros((NUM_SEEDS, len(rows))) for name in WAYS}
    for seed in range(NUM_SEEDS):
        folds = np.array(
            [
                hash_id(name, f"seed {seed}") % NUM_FOLDS
                for name in rows.image_ids
            ]
        )
        for fold in range(NUM_FOLDS):
            is_val = folds == fold
            train, val = (
                rows.take(np.flatnonzero(of)) for of in (~is_val, is_val)
            )
            for name, logits in _answer(cache, spec, train, val, seed).items():
                is_right = logits.argmax(axis=-1) == val.labels
                hits[name][seed, is_val] = is_right
    return hits


def find_interval(hits: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of a difference, in points.

    Args:
        hits: `(num_seeds, num_images)`.
        others: The same of what it is compared with.
    """
    of_images = 100 * (hits - others).mean(axis=0)
    error = NORMAL_95 * of_images.std(ddof=1) / np.sqrt(len(of_images))
    return float(of_images.mean() - error), float(of_images.mean() + error)


def _answer(
    cache: FeatureCache, spec: HeadSpec, train: Rows, val: Rows, seed: int
) -> dict[str, np.ndarray]:
    """Trains on all views and on the first two; returns logits by way."""
    num_classes, names = len(cache.spec.class_names), cache.spec.views

    def compute(fitted: Rows, answered: Rows) -> np.ndarray:
        (logits,) = compute_logits([spec], fitted, answered, num_classes, seed)
        return logits

    two = compute(_take_views(train), _take_views(val))
    of_all = compute(train, val)
    split = split_train(train.image_ids)
    part, other = (
        train.take(np.asarray(of.rows)) for of in (split.train, split.val)
    )
    chosen = choose_views(compute(part, other), other.labels, names)
    columns = [names.index(name) for name in chosen]
    return {
        FEWER_ALONE: two[:, 0],
        FEWER: two.mean(axis=1),
        ALONE: of_all[:, 0],
        ALL: of_all.mean(axis=1),
        CHOSEN: of_all[:, columns].mean(axis=1),
    }


def _take_views(rows: Rows) -> Rows:
    """Returns rows with the first views alone."""
    features = np.ascontiguousarray(rows.features[:, :NUM_FEWER])
    return dataclasses.replace(rows, features=features)


def _describe(values: np.ndarray) -> str:
    summary = Summary.of(values.tolist())
    mean = dataclasses.replace(summary, median=float(values.mean()))
    return mean.format(2)


if __name__ == "__main__":
    main()
