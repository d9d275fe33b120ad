"""Tests for `head.training.schedule`."""

import keras
import numpy as np
import pytest

from head.spec import HeadSpec
from head.training.schedule import ListedRates
from head.training.schedule import learning_rates


def rates_of(num_batches=4, **changes):
    """Returns the rates of a short training."""
    spec = HeadSpec(**{"learning_rate": 0.5, "epochs": 10, **changes})
    return learning_rates(spec, num_batches)


def test_a_constant_rate_stays():
    """One for each of the 40 steps."""
    np.testing.assert_array_equal(rates_of(), np.full(40, 0.5, np.float32))


def test_a_cosine_is_that_of_keras():
    """From the rate itself towards zero, which no step has."""
    decay = keras.optimizers.schedules.CosineDecay(0.5, decay_steps=40)

    rates = rates_of(schedule="cosine")

    expected = [float(decay(step)) for step in range(40)]
    np.testing.assert_allclose(rates, expected, atol=1e-6)
    assert rates[-1] > 0


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_warm_up_rises_in_equal_steps(schedule):
    """The last of its steps has the whole rate, the first is not lost."""
    rates = rates_of(schedule=schedule, warmup_epochs=2)

    np.testing.assert_allclose(rates[:8], 0.5 * np.arange(1, 9) / 8)
    assert rates[8] == pytest.approx(0.5)
    assert len(rates) == 40


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_training_may_end_in_its_warm_up(schedule):
    """After a tenth of it, say."""
    rates = rates_of(schedule=schedule, warmup_epochs=100)

    np.testing.assert_allclose(rates, 0.5 * np.arange(1, 41) / 400, rtol=1e-6)


def test_more_epochs_change_no_rate_that_stays():
    """The first steps are those of a shorter training."""
    shorter, longer = (
        rates_of(epochs=epochs, warmup_epochs=3) for epochs in (2, 9)
    )

    np.testing.assert_array_equal(longer[: len(shorter)], shorter)


def test_an_optimizer_of_keras_follows_the_list():
    """Plain gradient descent by 1 at each step moves by each rate."""
    variable = keras.Variable(0.0)
    rates = np.array([0.5, 0.25, 0.125], np.float32)
    optimizer = keras.optimizers.SGD(ListedRates(rates))
    moved = []

    for _ in rates:
        before = float(variable.numpy())
        optimizer.apply([keras.ops.ones(())], [variable])
        moved.append(before - float(variable.numpy()))

    assert moved == rates.tolist()
