"""Tests for `head.evaluating.reliability`."""

import numpy as np
import pytest
from hypothesis import given
from sklearn.calibration import calibration_curve

from head.evaluating import reliability
from head.evaluating.metrics import softmax
from head.evaluating.reliability import NUM_BINS
from head.evaluating.reliability import bin_by_confidence
from head.evaluating.reliability import draw_chance
from head.evaluating.reliability import expected_calibration_error
from tests.drawn_answers import answers


def test_images_of_one_bin_are_averaged_before_they_are_compared():
    """One right and one wrong at confidence 0.5 are perfectly calibrated."""
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])

    assert expected_calibration_error(probabilities, np.array([0, 1])) == 0


@pytest.mark.parametrize("edge", [3 / 5, 2 / 3, 4 / 5])
def test_a_bin_contains_its_upper_edge(edge):
    """The bins are open below and closed above, as in the paper.

    The image on the edge and the one just above it are in two bins: their
    gaps, of opposite sign, do not cancel.
    """
    above = edge + 0.01
    probabilities = np.array([[edge, 1 - edge], [above, 1 - above]])

    error = expected_calibration_error(probabilities, np.array([0, 1]))

    assert error == pytest.approx(((1 - edge) + above) / 2)


def test_certain_answers_are_in_the_last_bin():
    """A probability of exactly 1 is counted, and is right."""
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0]])

    bins = bin_by_confidence(probabilities, np.array([0, 1]))

    assert bins.num_images.tolist() == [0] * (NUM_BINS - 1) + [2]
    assert bins.num_right[-1] == 2
    assert bins.error == 0


def test_bins_by_hand():
    """Of three images near 0.65 two are right: 0.65 * 3 - 2 is the gap."""
    probabilities = np.array([[0.65, 0.35]] * 3 + [[0.9, 0.1]])

    bins = bin_by_confidence(probabilities, np.array([0, 1, 0, 0]))

    assert np.flatnonzero(bins.num_images).tolist() == [9, 13]
    assert bins.num_images[[9, 13]].tolist() == [3, 1]
    assert bins.num_right[[9, 13]].tolist() == [2, 1]
    assert bins.gaps[[9, 13]] == pytest.approx([2 - 3 * 0.65, 0.1])
    assert bins.error == pytest.approx((0.05 + 0.1) / 4)


@given(answers())
def test_the_error_is_that_of_scikit_learns_bins(drawn):
    """Its calibration curve, weighted by the images, has the same gaps."""
    probabilities, labels = softmax(drawn[0]), drawn[1]
    confidences = probabilities.max(-1)
    is_right = probabilities.argmax(-1) == labels
    bins = bin_by_confidence(probabilities, labels)
    counts = bins.num_images[bins.num_images > 0]

    accuracies, means = calibration_curve(
        is_right, confidences, n_bins=NUM_BINS
    )

    if len(accuracies) == len(counts):  # Else one is on an edge of its bins.
        expected = (counts * np.abs(accuracies - means)).sum() / len(labels)
        assert bins.error == pytest.approx(expected, abs=1e-12)


@given(answers())
def test_bounds(drawn):
    """The error is within 0 and 1, and no image is lost."""
    bins = bin_by_confidence(softmax(drawn[0]), drawn[1])

    assert 0 <= bins.error <= 1
    assert bins.num_images.sum() == len(drawn[1])
    assert (bins.num_right <= bins.num_images).all()


def test_chance_by_hand():
    """An image of confidence 0.5 is right or wrong, and 0.5 off either way."""
    chance = draw_chance(np.array([[0.5, 0.5]]))

    assert chance.error == (0.5, 0.5)
    filled = ~np.isnan(chance.accuracies[0])
    assert np.flatnonzero(filled).tolist() == [7]
    assert chance.accuracies[:, 7].tolist() == [0, 1]


def test_certain_answers_leave_nothing_to_chance():
    """Whoever is sure and calibrated is right."""
    chance = draw_chance(np.array([[1.0, 0.0]] * 5))

    assert chance.error == (0, 0)
    assert chance.accuracies[:, -1].tolist() == [1, 1]


def test_calibrated_heads_are_within_chance():
    """Answers as right as their confidence says are inside 19 times in 20."""
    rng = np.random.default_rng(0)
    num_inside, num_times = 0, 200
    for _ in range(num_times):
        probabilities = softmax(rng.normal(scale=2, size=(150, 5)))
        drawn = rng.random((150, 1)) < probabilities.cumsum(-1)
        low, high = draw_chance(probabilities).error
        error = expected_calibration_error(probabilities, drawn.argmax(-1))
        num_inside += low <= error <= high

    assert 0.9 <= num_inside / num_times <= 0.99


def test_chance_is_the_same_in_small_steps(monkeypatch):
    """A limit on memory changes no figure."""
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(size=(30, 4)))
    whole = draw_chance(probabilities)

    monkeypatch.setattr(reliability, "MAX_DRAWS", 70)
    in_steps = draw_chance(probabilities)

    assert in_steps.error == whole.error
    np.testing.assert_array_equal(in_steps.accuracies, whole.accuracies)
