"""Tests for `head.evaluating.intervals`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings

from head.evaluating import intervals
from head.evaluating.intervals import NUM_RESAMPLES
from head.evaluating.intervals import find_interval
from head.evaluating.intervals import find_intervals
from head.evaluating.intervals import measure_drawn
from head.evaluating.intervals import read_outcomes
from head.evaluating.intervals import resample
from head.evaluating.metrics import measure
from head.evaluating.metrics import softmax
from tests.drawn_answers import answers

METRICS = ["top1", "top5", "mean_per_class", "macro_f1", "nll"]


@settings(max_examples=50)
@given(answers())
def test_a_draw_is_measured_as_its_images_are(drawn):
    """Counts give what the metrics say of images that occur so often."""
    probabilities, labels = softmax(drawn[0]), drawn[1]
    counts = np.arange(len(labels)) % 3
    counts[0] = 1  # Some image is drawn.
    rows = np.repeat(np.arange(len(labels)), counts)

    of_counts = measure_drawn(
        read_outcomes(probabilities, labels), counts[None]
    )

    expected = vars(measure(probabilities[rows], labels[rows]))
    assert list(of_counts) == METRICS
    for name, (figure,) in of_counts.items():
        assert figure == pytest.approx(expected[name], abs=1e-12)


@settings(max_examples=30)
@given(answers())
def test_the_interval_of_an_accuracy_holds_it(drawn):
    """Its ends are shares, the lower one first, and it is between them."""
    probabilities, labels = softmax(drawn[0]), drawn[1]
    figures = vars(measure(probabilities, labels))

    found = find_intervals(resample(probabilities, labels), figures)

    low, high = found["top1"]
    assert 0 <= low <= figures["top1"] <= high <= 1
    for name in METRICS:
        low, high = found[name]
        assert low <= high


@settings(max_examples=15)
@given(answers())
def test_equal_answers_do_not_differ(drawn):
    """The same images are drawn for any answers: the difference is of pairs."""
    probabilities, labels = softmax(drawn[0]), drawn[1]
    first, second = (resample(probabilities, labels) for _ in range(2))

    differences = {name: first[name] - second[name] for name in first}

    no_difference = dict.fromkeys(METRICS, 0.0)
    found = find_intervals(differences, no_difference)
    assert set(found.values()) == {(0.0, 0.0)}


def test_a_difference_of_pairs_is_closer_than_one_of_strangers():
    """Answers that are better for every image are surely better."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 4))
    labels = logits.argmax(-1)
    labels[:100] = rng.integers(4, size=100)
    better = logits.copy()
    better[np.arange(200), labels] += 0.2
    first, second = (resample(softmax(of), labels) for of in (better, logits))
    gain = (
        measure(softmax(better), labels).nll
        - measure(softmax(logits), labels).nll
    )

    low, high = find_interval(first["nll"] - second["nll"], gain)

    assert low < gain < high < 0
    strangers = find_interval(first["nll"] - second["nll"][::-1], gain)
    assert high - low < (strangers[1] - strangers[0]) / 4


def test_an_interval_is_as_wide_as_theory_says():
    """Of 400 images, 80 % right, 1.96 standard errors on each side."""
    labels = np.zeros(400, int)
    probabilities = np.where(np.arange(400)[:, None] < 320, [0.9, 0.1], [0, 1])
    error = np.sqrt(0.8 * 0.2 / 400)

    low, high = find_interval(resample(probabilities, labels)["top1"], 0.8)

    assert low == pytest.approx(0.8 - 1.96 * error, abs=0.005)
    assert high == pytest.approx(0.8 + 1.96 * error, abs=0.005)


def test_a_bias_of_the_draws_is_taken_off():
    """Where most draws are below the figure the ends are moved up."""
    values = np.linspace(0, 1, 1001)

    low, high = find_interval(values, 0.5)
    above, top = find_interval(values, 0.6)

    assert (low, high) == pytest.approx((0.025, 0.975), abs=0.001)
    assert above > low
    assert top > high


def test_the_ends_are_those_of_efron():
    """With 60 % below: Phi(2 * 0.2533 -+ 1.96) are 7.3 % and 99.3 %."""
    ends = find_interval(np.linspace(0, 1, 100_001), 0.6)

    assert ends == pytest.approx((0.0730, 0.9932), abs=0.0005)


def test_a_figure_beyond_all_draws_has_an_interval():
    """No share is 0 or 1, whose deviation would be infinite."""
    low, high = find_interval(np.linspace(0, 1, 11), 2.0)

    assert 0.5 < low < high == pytest.approx(1, abs=1e-4)


def test_where_all_is_right_the_interval_is_a_point():
    """No draw shows a mistake."""
    probabilities = np.eye(3)
    figures = vars(measure(probabilities, np.arange(3)))

    found = find_intervals(resample(probabilities, np.arange(3)), figures)

    assert found["top1"] == found["macro_f1"] == (1, 1)


def test_draws_are_the_same_in_small_steps(monkeypatch):
    """A limit on memory changes no figure, and every draw is a whole one."""
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(size=(30, 7)))
    labels = rng.integers(7, size=30)
    whole = resample(probabilities, labels)

    monkeypatch.setattr(intervals, "MAX_DRAWS", 100)
    in_steps = resample(probabilities, labels)

    for name, values in whole.items():
        assert len(values) == NUM_RESAMPLES
        np.testing.assert_allclose(in_steps[name], values, rtol=1e-12)
