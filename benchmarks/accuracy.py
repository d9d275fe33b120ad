"""What a search is worth: its winner against the reference recipe.

    python -m benchmarks.accuracy CACHE BEST.json

Cross-validation on the train split, 5 folds drawn anew for each of 5 seeds, so
that both recipes train on the same images, and are right or wrong on the same
images, with the same seed. The test split is not read. The figures to quote are
the means, with one view and with the mean of both, and the difference seed by
seed; folds are others than those that a search chooses by.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.measure import Summary
from benchmarks.measure import print_table
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.devices import num_cpu_threads
from embed.devices import prepare_devices
from embed.devices import use_threads
from embed.rows import Rows
from embed.splits import Selection
from embed.splits import hash_id
from head.model import create_normalizer
from head.spec import RECIPES
from head.spec import HeadSpec
from head.spec import load_spec
from tune.slot import Arrays
from tune.slot import Slot
from tune.steps import Steps
from tune.task import Outcome
from tune.task import Task
from tune.vectorized import VectorizedTrainer

NUM_SEEDS, NUM_FOLDS = 5, 5
REFERENCE, SEARCHED = "reference recipe", "searched"


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path, help="a feature cache")
    parser.add_argument("spec", type=Path, help="a best.json made on it")
    arguments = parser.parse_args()
    use_threads(num_cpu_threads())
    prepare_devices()
    cache = open_cache(arguments.cache)
    spec = load_spec(arguments.spec)
    recipes = {REFERENCE: RECIPES["reference"], SEARCHED: spec}
    views = [1, len(cache.spec.views)]
    percents = 100 * validate(cache, list(recipes.values()), views)
    rows = [["head", *(f"{count} views %" for count in views)]]
    for name, of_recipe in zip(recipes, percents, strict=True):
        rows.append([name, *(_describe(of) for of in of_recipe.T)])
    gained = percents[1] - percents[0]
    rows.append(["points gained", *(_describe(of) for of in gained.T)])
    count = len(spec.members)
    print_table(
        f"{cache.num_images['train']:,} images, {NUM_FOLDS} folds, "
        f"{NUM_SEEDS} seeds, means (min-max); searched: {count} "
        f"head{'s' if count > 1 else ''}",
        rows,
    )


def validate(
    cache: FeatureCache, recipes: list[HeadSpec], views: list[int]
) -> np.ndarray:
    """Returns accuracies `(num_recipes, num_seeds, len(views))`."""
    rows = cache.take(Selection("train"))
    hits = np.zeros((len(recipes), NUM_SEEDS, len(views)))
    for seed in range(NUM_SEEDS):
        folds = np.array(
            [
                hash_id(name, f"seed {seed}") % NUM_FOLDS
                for name in rows.image_ids
            ]
        )
        for fold in range(NUM_FOLDS):
            train, val = (
                rows.take(np.flatnonzero(of))
                for of in (folds != fold, folds == fold)
            )
            logits = compute_logits(
                recipes, train, val, len(cache.spec.class_names), seed
            )
            for place, of_recipe in enumerate(logits):
                for number, count in enumerate(views):
                    answers = of_recipe[:, :count].mean(axis=1).argmax(axis=-1)
                    hits[place, seed, number] += (answers == val.labels).sum()
    return hits / len(rows)


def compute_logits(
    recipes: list[HeadSpec], train: Rows, val: Rows, num_classes: int, seed: int
) -> list[np.ndarray]:
    """Trains recipes; returns logits `(num_images, num_views, num_classes)`."""
    members = [member for recipe in recipes for member in recipe.members]
    states: dict[int, Arrays] = {}

    def keep(place: int, outcome: Outcome, state: Arrays) -> None:
        if outcome.message:
            raise RuntimeError(outcome.message)
        states[place] = state

    VectorizedTrainer(
        train=train, val=val, num_classes=num_classes, seed=seed
    ).train([Task(member) for member in members], keep)
    steps = Steps(num_classes)
    vectors = tf.constant(val.features.reshape(-1, val.features.shape[-1]))
    answers = iter(
        steps.compute_logits(
            Slot(member, states[place], [], num_batches=1, seed=seed),
            create_normalizer(member.normalization, train)(vectors),
        ).numpy()
        for place, member in enumerate(members)
    )
    shape = (*val.features.shape[:2], num_classes)
    return [
        np.mean([next(answers) for _ in recipe.members], axis=0).reshape(shape)
        for recipe in recipes
    ]


def _describe(values: np.ndarray) -> str:
    summary = Summary.of(values.tolist())
    mean = dataclasses.replace(summary, median=float(values.mean()))
    return mean.format(2)


if __name__ == "__main__":
    main()
