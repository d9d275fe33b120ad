"""Tests for `tune.baselines`."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest

import tune.baselines
from embed.rows import Rows
from embed.splits import split_train
from tune.baselines import run_baselines
from tune.baselines import run_on_folds

NAMES = ["ridge", "logistic", "nearest_mean", "knn"]
MARGIN = 0.1  # Over chance, for clouds of points that overlap.


def create_rows(features, labels):
    """Returns rows of float32 features, `(num_images, dim)` for one view."""
    features = np.asarray(features, np.float32)
    features = features.reshape(len(labels), -1, features.shape[-1])
    ids = tuple(f"{number}" for number in range(len(labels)))
    return Rows(features, np.asarray(labels, np.int32), ids)


def create_axes(labels, num_classes, num_views=1):
    """Returns rows that lie on the axis of their class, far or near."""
    rng = np.random.default_rng(0)
    lengths = rng.uniform(0.5, 2.0, (len(labels), num_views, 1))
    return create_rows(np.eye(num_classes)[labels][:, None] * lengths, labels)


def without_seconds(results):
    """Returns the results but for how long they took."""
    return [result.model_copy(update={"seconds": 0.0}) for result in results]


@pytest.fixture(name="split", scope="session")
def _split(draw_cache, tmp_path_factory):
    """Training and validation rows of a cache of overlapping clouds."""
    path = tmp_path_factory.mktemp("caches") / "clouds.h5"
    cache = draw_cache(path, num_train=300)
    split = split_train(cache.image_ids("train"))
    return cache.take(split.train), cache.take(split.val)


@pytest.fixture(name="fit_stub")
def _fit_stub(monkeypatch):
    """Has one baseline, `logistic`, whose path is given as setting: outputs."""

    def fit_stub(path):
        fits = {"logistic": lambda train, targets, val: iter(path.items())}
        monkeypatch.setattr(tune.baselines, "_FITS", fits)

    return fit_stub


@pytest.mark.parametrize("num_classes", [2, 3])
def test_separable_classes_are_told_apart(num_classes):
    """Where each class has an axis of its own, all are always right."""
    labels = np.arange(30) % num_classes
    train = create_axes(labels, num_classes, num_views=2)
    val = create_axes(labels[:12], num_classes)

    results = run_baselines(train, val, num_classes=num_classes)

    assert {result.name: result.val_accuracy for result in results} == (
        dict.fromkeys(NAMES, 1.0)
    )


def test_overlapping_classes_are_told_apart_better_than_by_chance(split):
    """Every baseline learns something from noisy rows with signs."""
    train, val = split
    chance = np.bincount(val.labels).max() / len(val)

    results = run_baselines(train, val, num_classes=3)

    assert [result.name for result in results] == NAMES
    assert min(result.val_accuracy for result in results) > chance + MARGIN


def test_results_come_in_a_fixed_order_each_as_soon_as_it_is_there(split):
    """A progress bar is told of each result, in the order of the list."""
    told = []

    results = run_baselines(*split, num_classes=3, on_done=told.append)

    assert told == results
    assert [result.name for result in results] == NAMES
    assert all(result.seconds > 0 for result in results)


def test_the_same_rows_give_the_same_results(split):
    """No baseline draws a random number."""
    first = run_baselines(*split, num_classes=3)
    second = run_baselines(*split, num_classes=3)

    assert without_seconds(first) == without_seconds(second)


def test_only_the_plain_view_of_validation_rows_is_read(split):
    """Validation scores images as they are, as it does in trials."""
    train, val = split
    features = val.features.copy()
    features[:, 1] = np.nan
    spoilt = dataclasses.replace(val, features=features)

    assert without_seconds(
        run_baselines(train, spoilt, num_classes=3)
    ) == without_seconds(run_baselines(train, val, num_classes=3))


def test_rows_stay_as_they_are(split):
    """The heads train on the same arrays afterwards."""
    copies = [rows.features.copy() for rows in split]

    run_baselines(*split, num_classes=3)

    for rows, copy in zip(split, copies, strict=True):
        np.testing.assert_array_equal(rows.features, copy)


def test_every_view_of_the_training_rows_is_a_row():
    """What view 1 alone shows of a class is learnt, but by `logistic`."""
    labels = np.arange(20) % 2
    axes = np.eye(3)
    plain, mirrored = axes[np.where(labels, 1, 0)], axes[np.where(labels, 2, 0)]
    train = create_rows(np.stack([plain, mirrored], axis=1), labels)
    val = create_rows(axes[[0, 1, 2]], [0, 1, 1])

    results = run_baselines(train, val, num_classes=2)

    accuracies = {result.name: result.val_accuracy for result in results}
    assert accuracies.pop("logistic") == pytest.approx(2 / 3)
    assert accuracies == dict.fromkeys(["ridge", "nearest_mean", "knn"], 1.0)


def test_the_length_of_a_vector_makes_no_difference(split):
    """Backbones differ in the scale of their features."""
    train, val = split
    larger = [
        dataclasses.replace(rows, features=rows.features * 4)
        for rows in (train, val)
    ]

    scaled = run_baselines(*larger, num_classes=3)

    # By powers of two, and so to the last bit.
    assert without_seconds(scaled) == without_seconds(
        run_baselines(train, val, num_classes=3)
    )


def test_classes_may_be_missing():
    """Class numbers stay what they are, and an unknown class is an error.

    Training lacks the classes 0 and 3, validation 1, 3 and 5.
    """
    train = create_axes(np.repeat([1, 2, 4, 5], 5), 6)
    val = create_axes(np.array([2, 2, 4, 0]), 6)

    results = run_baselines(train, val, num_classes=6)

    assert {result.name: result.val_accuracy for result in results} == (
        dict.fromkeys(NAMES, 0.75)
    )
    losses = {result.name: result.val_loss for result in results}
    assert math.isfinite(losses.pop("logistic"))
    assert losses == dict.fromkeys(losses)


@pytest.mark.parametrize("num_images", [1, 20])
def test_one_class_is_answered_without_logistic_regression(num_images):
    """What cannot be fitted is left out, and the others know one answer."""
    train = create_axes(np.full(num_images, 2), 3, num_views=2)
    val = create_axes(np.array([0, 1, 2, 2]), 3)

    results = run_baselines(train, val, num_classes=3)

    assert {result.name: result.val_accuracy for result in results} == (
        dict.fromkeys(["ridge", "nearest_mean", "knn"], 0.5)
    )


def test_without_rows_there_are_no_results(split):
    """A split may leave a small cache without validation rows."""
    train, val = split
    none = np.array([], int)

    assert run_baselines(train.take(none), val, num_classes=3) == []
    assert run_baselines(train, val.take(none), num_classes=3) == []


def test_features_without_variance_are_no_error():
    """A division by nothing would be a warning, and here an error."""
    train = create_rows(np.zeros((10, 4)), np.arange(10) % 2)
    val = create_rows(np.ones((4, 4)), [0, 1, 0, 1])

    results = run_baselines(train, val, num_classes=2)

    assert [result.val_accuracy for result in results] == [0.5] * 4


def test_few_rows_have_few_neighbours():
    """A path asks for no more neighbours than there are rows."""
    train = create_axes(np.array([0, 1]), 2)

    results = run_baselines(train, train, num_classes=2)

    assert results[-1].name == "knn"
    assert results[-1].setting == "k=2"


def test_the_loss_is_the_cross_entropy_of_the_best_setting(fit_stub):
    """By hand: p = 4/5 and 3/4 for the true classes of two images."""
    rows = create_axes(np.array([0, 1]), 2)
    fit_stub({"C=1": np.log([[4.0, 1.0], [1.0, 3.0]])})

    results = run_baselines(rows, rows, num_classes=2)

    expected = -(math.log(4 / 5) + math.log(3 / 4)) / 2
    assert results[0].val_loss == pytest.approx(expected)


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ({"low": -1.0, "high": 1.0}, "high"),
        ({"unsure": 1.0, "sure": 2.0}, "sure"),
        ({"first": 1.0, "second": 1.0}, "first"),
    ],
    ids=["accuracy", "loss", "place"],
)
def test_accuracy_then_loss_then_place_choose_the_setting(
    fit_stub, margins, expected
):
    """As the search ranks its trials."""
    rows = create_axes(np.array([0, 1]), 2)
    fit_stub({name: margin * np.eye(2) for name, margin in margins.items()})

    results = run_baselines(rows, rows, num_classes=2)

    assert results[0].setting == expected


def test_of_equal_settings_without_a_loss_the_first_wins():
    """Strong penalties and many neighbours are the simpler explanation."""
    train = create_axes(np.arange(60) % 2, 2)

    results = run_baselines(train, train, num_classes=2)

    settings = {result.name: result.setting for result in results}
    assert settings["ridge"] == f"alpha={tune.baselines.ALPHAS[0]:g}"
    assert settings["nearest_mean"] == "cosine"
    assert settings["knn"] == f"k={tune.baselines.NUM_NEIGHBORS[0]}"


def test_an_early_end_is_no_warning(split, monkeypatch):
    """Logistic regression stops on purpose before it has converged."""
    monkeypatch.setattr(tune.baselines, "MAX_ITERATIONS", 1)

    results = run_baselines(*split, num_classes=3)

    assert [result.name for result in results] == NAMES


def test_importing_the_module_is_cheap():
    """Scikit-learn takes a second, which `--help` does not have."""
    code = "import sys, tune.baselines; print('sklearn' in sys.modules)"

    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert finished.stdout == "False\n"


def test_on_folds_a_setting_is_scored_by_all_images(split, fit_stub):
    """The best on all of them wins, where each fold prefers another one."""
    train, val = split
    near, far = val.take(np.arange(10)), val.take(np.arange(10, 40))
    right = np.eye(3)[val.labels]
    wrong = np.roll(right, 1, axis=-1)
    answers = {
        10: {"C=1": right[:10], "C=2": wrong[:10]},
        30: {"C=1": wrong[10:40], "C=2": right[10:40]},
    }
    fit_stub({})
    tune.baselines._FITS["logistic"] = lambda train, targets, points: iter(
        answers[len(points)].items()
    )

    (result,) = run_on_folds([(train, near), (train, far)], num_classes=3)

    assert (result.setting, result.val_accuracy) == ("C=2", 0.75)


def test_on_one_fold_nothing_is_different(split):
    """The score is that of the rows, to the last digit."""
    expected = without_seconds(run_baselines(*split, num_classes=3))

    assert without_seconds(run_on_folds([split], num_classes=3)) == expected
    for result in expected:
        num_right = result.val_accuracy * len(split[1])
        assert num_right == pytest.approx(round(num_right), abs=1e-9)


def test_a_setting_that_a_fold_lacks_is_no_choice(split):
    """Few rows have fewer neighbours: the path of knn is shorter there."""
    train, val = split
    few = train.take(np.arange(5))  # Ten rows, with both views.

    results = run_on_folds([(train, val), (few, val)], num_classes=3)

    (knn,) = [result for result in results if result.name == "knn"]
    assert knn.setting in {"k=10", "k=3"}
