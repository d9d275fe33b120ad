"""Tests for `head.evaluating.calibration`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from head.evaluating.calibration import MAX_TEMPERATURE
from head.evaluating.calibration import MIN_TEMPERATURE
from head.evaluating.calibration import fit_temperature
from head.evaluating.calibration import scale
from head.evaluating.metrics import compute_metrics
from head.evaluating.metrics import negative_log_likelihood
from tests.drawn_answers import answers


def test_hand_computed():
    """Three of four right at one gap are calibrated at odds of 3 to 1."""
    logits = np.array([[4.0, 0.0]] * 4, np.float32)

    temperature = fit_temperature(logits, np.array([0, 0, 0, 1]))

    assert temperature == pytest.approx(4 / np.log(3), rel=1e-5)


@pytest.mark.parametrize("factor", [0.25, 1.0, 5.0])
def test_a_scale_is_taken_off_again(factor):
    """Labels that are drawn from probabilities find their temperature."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(20_000, 4))
    noise = rng.gumbel(size=logits.shape)  # argmax draws from the softmax.

    temperature = fit_temperature(
        factor * logits, (logits + noise).argmax(axis=-1)
    )

    assert temperature == pytest.approx(factor, rel=0.05)


def test_without_a_mistake_nothing_is_known():
    """The likelihood would have every answer be certain."""
    logits = np.array([[1.0, 0.0], [0.0, 2.0]])

    assert fit_temperature(logits, np.array([0, 1])) == 1


def test_logits_that_say_nothing_stay():
    """No temperature is better than another."""
    assert fit_temperature(np.zeros((3, 2)), np.array([0, 1, 1])) == 1


def test_a_head_that_is_worse_than_chance_is_as_unsure_as_can_be():
    """Nothing is divided by infinity."""
    logits = np.array([[1.0, 0.0]])

    assert fit_temperature(logits, np.array([1])) == MAX_TEMPERATURE


def test_large_logits_do_not_overflow():
    """A confident mistake is as finite as any."""
    logits = np.array([[1e4, 0.0], [1e4, 0.0], [0.0, 1e4]], np.float32)

    temperature = fit_temperature(logits, np.array([0, 1, 1]))

    assert temperature == MAX_TEMPERATURE


@settings(max_examples=50)
@given(answers())
def test_the_likelihood_is_never_worse(drawn):
    """Of the images that it is fitted to, and no temperature is better."""
    logits, labels = drawn

    temperature = fit_temperature(logits, labels)

    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE
    best = negative_log_likelihood(scale(logits, temperature), labels)
    assert best <= negative_log_likelihood(logits, labels)
    if MIN_TEMPERATURE < temperature < MAX_TEMPERATURE and temperature != 1:
        for factor in (0.5, 0.9, 0.999, 1.001, 1.1, 2.0):
            other = scale(logits, factor * temperature)
            assert best <= negative_log_likelihood(other, labels) + 1e-9


@settings(max_examples=50)
@given(answers(), st.floats(0.05, 20))
def test_a_temperature_changes_no_answer(drawn, temperature):
    """First classes and all that is counted of them stay."""
    logits, labels = np.round(drawn[0]), drawn[1]  # No two nearly equal.

    before = compute_metrics(logits, labels)
    after = compute_metrics(scale(logits, temperature), labels)

    for name in ("top1", "mean_per_class", "macro_f1"):
        assert getattr(after, name) == getattr(before, name)


@settings(max_examples=50)
@given(answers())
def test_offsets_do_not_matter(drawn):
    """The temperature depends on differences of logits alone."""
    logits, labels = np.round(drawn[0]).astype(np.float64), drawn[1]

    moved = fit_temperature(logits + 16, labels)

    assert moved == pytest.approx(fit_temperature(logits, labels), rel=1e-4)
