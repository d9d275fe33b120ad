"""Tests for `head.report.suspects`."""

import numpy as np
import pytest

from embed.splits import Selection
from head.report.suspects import MOST_FEATURES
from head.report.suspects import REGULARIZATION
from head.report.suspects import TEMPERATURE
from head.report.suspects import TooManyFeaturesError
from head.report.suspects import find_suspects
from head.report.suspects import rank_suspects

NUM_CLASSES, FEATURE_DIM = 5, 24
NUM_PLANTED, NUM_LISTED = 20, 40
PIECE = 64


@pytest.fixture(name="clouds")
def _clouds():
    """Features of 600 pictures in five clouds that overlap, and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % NUM_CLASSES
    centres = rng.normal(size=(NUM_CLASSES, FEATURE_DIM))
    features = centres[labels] + 0.8 * rng.normal(size=(600, FEATURE_DIM))
    return features.astype(np.float32), labels


def in_pieces(features, labels, size=PIECE):
    """Returns what yields rows a few at a time, as often as it is asked."""

    def pieces():
        for start in range(0, len(labels), size):
            stop = start + size
            yield features[start:stop], labels[start:stop]

    return pieces


def rank(features, labels, count=NUM_LISTED, size=PIECE):
    """Ranks suspects among rows in memory."""
    return rank_suspects(
        in_pieces(features, labels, size),
        feature_dim=features.shape[1],
        num_classes=NUM_CLASSES,
        count=count,
    )


@pytest.mark.parametrize("seed", range(3))
def test_planted_faults_come_first(clouds, seed):
    """Of 20 labels that were swapped 18 are among the first 40 suspects."""
    features, labels = clouds
    rng = np.random.default_rng(seed)
    planted = rng.choice(len(labels), NUM_PLANTED, replace=False)
    swapped = labels.copy()
    swapped[planted] += rng.integers(1, NUM_CLASSES, NUM_PLANTED)
    swapped %= NUM_CLASSES

    suspects, num_suspects = rank(features, swapped)

    rows = [suspect.row for suspect in suspects]
    assert len(set(rows) & set(planted.tolist())) >= 18
    assert len(set(rows)) == len(rows) == min(NUM_LISTED, num_suspects)
    probabilities = [suspect.probability for suspect in suspects]
    assert probabilities == sorted(probabilities)
    assert max(probabilities) < 0.5
    assert [suspect.label for suspect in suspects] == swapped[rows].tolist()
    right = [s.suggested == labels[s.row] for s in suspects if s.row in planted]
    assert np.mean(right) > 0.8


def test_a_label_has_no_say_in_its_own_trial(clouds):
    """Its probability is that of a fit without the row."""
    features, labels = clouds
    features, labels = features[:60], labels[:60].copy()
    labels[7] = (labels[7] + 1) % NUM_CLASSES
    suspect = next(s for s in rank(features, labels)[0] if s.row == 7)
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    inputs = np.hstack([centred, np.ones((60, 1))])
    penalty = REGULARIZATION * np.trace(inputs.T @ inputs) / inputs.shape[1]
    kept = np.arange(60) != 7

    weights = np.linalg.solve(
        inputs[kept].T @ inputs[kept] + penalty * np.eye(inputs.shape[1]),
        inputs[kept].T @ np.eye(NUM_CLASSES)[labels[kept]],
    )

    scores = inputs[7] @ weights
    powers = np.exp(scores / TEMPERATURE)
    expected = powers[labels[7]] / powers.sum()
    assert suspect.probability == pytest.approx(expected, rel=1e-9)
    assert suspect.suggested == scores.argmax()


def test_pieces_of_any_size_give_the_same_suspects(clouds):
    """How many rows are read at a time decides nothing."""
    features, labels = clouds

    (few, num_few), (many, num_many) = (
        rank(features, labels, size=size) for size in (7, 600)
    )

    assert [suspect.row for suspect in few] == [suspect.row for suspect in many]
    assert num_few == num_many


def test_classes_that_are_apart_have_no_suspect():
    """Nothing is listed for the sake of a list."""
    labels = np.arange(30) % NUM_CLASSES
    features = np.eye(NUM_CLASSES, dtype=np.float32)[labels]

    assert rank(features, labels) == ([], 0)


def test_pictures_without_features_are_borne():
    """Rows of zeros, and rows that are all the same, give finite figures."""
    labels = np.arange(20) % NUM_CLASSES

    suspects, _ = rank(np.zeros((20, FEATURE_DIM), np.float32), labels)

    assert all(np.isfinite(suspect.probability) for suspect in suspects)


def test_too_many_features_are_refused():
    """Before a matrix is made that the memory has no room for."""
    with pytest.raises(TooManyFeaturesError, match="more than the"):
        rank_suspects(
            in_pieces(np.zeros((0, 1)), np.zeros(0, int)),
            feature_dim=MOST_FEATURES + 1,
            num_classes=2,
            count=1,
        )


def test_a_cache_is_read_from_its_first_view(draw_cache, tmp_path):
    """Its suspects are those of its rows in memory."""
    cache = draw_cache(tmp_path / "points.h5", num_train=700)
    rows = cache.take(Selection("train"))

    found = find_suspects(cache, NUM_LISTED)

    expected = rank_suspects(
        in_pieces(rows.features[:, 0], rows.labels, 256),
        feature_dim=cache.feature_dim,
        num_classes=len(cache.spec.class_names),
        count=NUM_LISTED,
    )
    assert found == expected
    assert found[0]
