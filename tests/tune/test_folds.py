"""Tests for `tune.folds`."""

import dataclasses

import numpy as np
import pytest

from tests.tune.test_vectorized import NUM_CLASSES
from tests.tune.test_vectorized import draw_rows
from tests.tune.test_vectorized import specs_of
from tests.tune.test_vectorized import train
from tune.folds import FoldedTrainer
from tune.task import Outcome
from tune.task import Task
from tune.vectorized import VectorizedTrainer

# Of 110 images.
FOLDS = (np.arange(0, 30), np.arange(30, 70), np.arange(70, 110))


def take_fold(fold):
    """Returns the rows to train on and to score by."""
    rows, _ = draw_rows()
    others = np.setdiff1d(np.arange(len(rows)), FOLDS[fold])
    return rows.take(others), rows.take(FOLDS[fold])


def train_on_folds(tasks):
    """Trains heads; returns outcomes less their seconds, and states."""
    trainers = []
    for fold in range(len(FOLDS)):
        rows, val = take_fold(fold)
        trainers.append(
            VectorizedTrainer(
                train=rows, val=val, num_classes=NUM_CLASSES, seed=3
            )
        )
    trainer = FoldedTrainer(trainers, [len(fold) for fold in FOLDS])
    ends = {}
    trainer.train(tasks, lambda place, *end: ends.setdefault(place, end))
    return [
        (dataclasses.replace(ends[place][0], seconds=0), ends[place][1])
        for place in range(len(tasks))
    ]


def test_the_score_is_that_of_all_images():
    """A larger fold counts for more."""
    tasks = [Task(spec) for spec in specs_of([{}, {"mixup": 0.4}])]
    of_folds = [
        train(tasks, *take_fold(fold), seed=3) for fold in range(len(FOLDS))
    ]

    ends = train_on_folds(tasks)

    for place, (outcome, _) in enumerate(ends):
        for name in ("val_accuracy", "val_loss"):
            expected = sum(
                len(rows) * getattr(of_fold[place][0], name)
                for rows, of_fold in zip(FOLDS, of_folds, strict=True)
            )
            assert getattr(outcome, name) == pytest.approx(expected / 110)


def test_a_training_can_be_gone_on_with():
    """Each fold has its own state."""
    [short, whole] = specs_of([{"epochs": 2}, {}])

    [(_, state)] = train_on_folds([Task(short)])
    [(outcome, _), (expected, _)] = train_on_folds(
        [Task(whole, first_epoch=2, state=state), Task(whole)]
    )

    assert outcome == expected


def test_the_first_heads_end_before_the_last_begin():
    """A kill costs those that are trained, on all folds, and no others."""
    events = []

    class Trainer:
        def train(self, tasks, on_end):
            """Trains nothing."""
            events.append(f"{len(tasks)} begin")
            for place in range(len(tasks)):
                on_end(place, Outcome(val_accuracy=0.5, val_loss=0.5), [])

    FoldedTrainer([Trainer(), Trainer()], [10, 20]).train(
        [Task(spec) for spec in specs_of([{}] * 10)],
        lambda place, *_: events.append(place),
    )

    first, last = ["8 begin", "8 begin"], ["2 begin", "2 begin"]
    assert events == [*first, *range(8), *last, 8, 9]


def test_a_head_that_diverges_on_one_fold_has_failed():
    """The others have their scores."""
    specs = specs_of([{"learning_rate": 1e38}, {}])

    (failed, _), (sound, _) = train_on_folds([Task(spec) for spec in specs])

    assert failed.val_accuracy is None
    assert "diverged" in failed.message
    assert sound.val_accuracy is not None
