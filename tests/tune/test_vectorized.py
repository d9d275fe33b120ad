"""Tests for `tune.vectorized`."""

import dataclasses

import numpy as np
import pytest

from embed.rows import Rows
from embed.splits import Selection
from embed.stream import RowStream
from head.model import create_normalizer
from head.spec import HeadSpec
from head.training.train import train_head
from tune.slot import Slot
from tune.steps import Steps
from tune.task import Task
from tune.vectorized import VectorizedTrainer

NUM_CLASSES, FEATURE_DIM, NUM_IMAGES = 5, 40, 150
NUM_TRAIN = 110  # In batches of 16 the last one is short.
BASE = {"batch_size": 16, "epochs": 5, "learning_rate": 3e-3}
# Every hyperparameter of the space, and what is done otherwise for some.
CHANGES = (
    {},
    {"learning_rate": 0.05},
    {"dropout": 0.0},
    {"dropout": 0.6},
    {"normalization": "l2"},
    {"normalization": "sqrt"},
    {"normalization": "standardize"},
    {"weight_decay": 0.3},
    {"label_smoothing": 0.2},
    {"mixup": 0.4},
    {"mixup": 0.4, "normalization": "l2"},
    {"mixup": 0.4, "normalization": "sqrt"},
    {"mixup": 0.4, "normalization": "standardize"},
    {"view_mixing": True},
    {"view_mixing": True, "mixup": 1.0, "label_smoothing": 0.1},
    {"schedule": "cosine"},
    {"schedule": "cosine", "warmup_epochs": 2},
    {"warmup_epochs": 2},
    {"temperature": 0.1},
    {"temperature": 0.05, "mixup": 0.3, "weight_decay": 0.1},
    {"hidden_units": 32},
    {"hidden_units": 16, "weight_decay": 0.2, "mixup": 0.5},
    {"hidden_units": 16, "temperature": 0.1},
    {"epochs": 3},
    {"batch_size": 32},
)


def draw_rows(num_views=2):
    """Draws images of five classes that can be told apart, mostly."""
    rng = np.random.default_rng(0)
    labels = (np.arange(NUM_IMAGES) % NUM_CLASSES).astype(np.int32)
    centres = rng.normal(size=(NUM_CLASSES, 1, FEATURE_DIM))
    noise = 0.5 * rng.normal(size=(NUM_IMAGES, num_views, FEATURE_DIM))
    features = np.abs(centres[labels] + noise).astype(np.float32)
    ids = tuple(f"{number}.jpg" for number in range(NUM_IMAGES))
    rows = Rows(features, labels, ids)
    return (
        rows.take(np.arange(NUM_TRAIN)),
        rows.take(np.arange(NUM_TRAIN, NUM_IMAGES)),
    )


def specs_of(changes=CHANGES):
    """Returns the specs of some changes to a short training."""
    return [HeadSpec(**{**BASE, **change}) for change in changes]


def train(tasks, train=None, val=None, num_views=2, seed=3):
    """Trains heads; returns outcomes less their seconds, and states."""
    rows = draw_rows(num_views)
    trainer = VectorizedTrainer(
        train=train or rows[0],
        val=val or rows[1],
        num_classes=NUM_CLASSES,
        seed=seed,
    )
    ends = {}
    trainer.train(tasks, lambda place, *end: ends.setdefault(place, end))
    return [
        (dataclasses.replace(ends[place][0], seconds=0), ends[place][1])
        for place in range(len(tasks))
    ]


def logits_of(spec, state, rows):
    """Returns the logits of a head in a state on view 0 of some rows."""
    slot = Slot(spec, state, [], num_batches=1, seed=0)
    normalize = create_normalizer(spec.normalization, draw_rows()[0])
    steps = Steps(NUM_CLASSES)
    return steps.compute_logits(slot, normalize(rows.features[:, 0])).numpy()


@pytest.fixture(name="ends", scope="module")
def _ends():
    """What comes of all specs when they are trained at once."""
    return train([Task(spec) for spec in specs_of()])


@pytest.mark.parametrize("place", range(len(CHANGES)), ids=map(str, CHANGES))
def test_a_head_is_the_one_that_keras_trains(ends, place):
    """Its logits are within 1e-3 after five epochs, its score is the same.

    Whatever the hyperparameter; weights, order, views, mixtures and dropout
    are drawn as they are for a head that is trained alone.
    """
    spec = specs_of()[place]
    rows, val = draw_rows()

    outcome, state = ends[place]
    alone = train_head(
        spec, train=rows, val=val, num_classes=NUM_CLASSES, seed=3
    )

    np.testing.assert_allclose(
        logits_of(spec, state, val),
        np.asarray(alone.model(val.features[:, 0], training=False)),
        atol=1e-3,
    )
    scores = outcome.val_accuracy, outcome.val_loss
    expected = [alone.history[n][-1] for n in ("val_accuracy", "val_loss")]
    assert scores == pytest.approx(expected, abs=1e-4)


def test_others_change_no_bit(ends):
    """Every third head again, in another company and order."""
    places = list(range(0, len(CHANGES), 3))[::-1]

    again = train([Task(specs_of()[place]) for place in places])

    for place, (outcome, state) in zip(places, again, strict=True):
        assert outcome == ends[place][0]
        for found, expected in zip(state, ends[place][1], strict=True):
            np.testing.assert_array_equal(found, expected)


def test_the_seed_decides():
    """Seed 0 equals itself and differs from seed 1."""
    tasks = [Task(spec) for spec in specs_of([{}, {"mixup": 0.4}])]

    first, again, other = (train(tasks, seed=seed) for seed in (0, 0, 1))

    for place in range(2):
        assert first[place][0] == again[place][0] != other[place][0]


@pytest.mark.parametrize(
    "change",
    [{}, {"warmup_epochs": 4}, {"hidden_units": 16}, {"temperature": 0.1}],
    ids=str,
)
def test_a_training_can_be_gone_on_with(change):
    """Two epochs and then three are five, to the bit."""
    [short, whole] = specs_of([{**change, "epochs": 2}, change])

    [(_, state)] = train([Task(short)])
    [(outcome, continued), (expected, at_once)] = train(
        [Task(whole, first_epoch=2, state=state), Task(whole)]
    )

    assert outcome == expected
    for found, wanted in zip(continued, at_once, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_one_view_is_enough():
    """A head that would mix views trains on the one there is."""
    mixed, plain = train(
        [Task(spec) for spec in specs_of([{"view_mixing": True}, {}])],
        num_views=1,
    )

    assert mixed[0] == plain[0]


def test_a_head_that_diverges_ends_alone():
    """It says how, in which epoch, and the others go on."""
    specs = specs_of([{}, {"learning_rate": 1e38}, {"dropout": 0.1}])

    (first, _), (failed, _), (last, _) = train([Task(spec) for spec in specs])

    assert failed.val_accuracy is None
    assert failed.val_loss is None
    assert "diverged in epoch " in failed.message
    assert "Lower the learning rate" in failed.message
    assert first.val_accuracy is not None
    assert last.val_accuracy is not None


def test_a_cache_is_streamed_to_the_same_bits(draw_cache, tmp_path):
    """Whatever the memory limit."""
    cache = draw_cache(tmp_path / "tiny.h5", num_train=100)
    val = cache.take(Selection("train", np.arange(20)))
    selection = Selection("train", np.arange(20, 100))
    tasks = [Task(spec) for spec in specs_of([{}, {"mixup": 0.4}])]

    held, streamed = (
        train(tasks, train=rows, val=val)
        for rows in (
            cache.take(selection),
            RowStream(cache, selection, memory_limit=8192),
        )
    )

    for (found, _), (expected, _) in zip(streamed, held, strict=True):
        assert found == expected
