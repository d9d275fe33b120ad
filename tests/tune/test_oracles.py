"""Tests for `tune.oracles`."""

import collections
import itertools
import math
from typing import get_args

import hypothesis
import hypothesis.strategies as st
import keras_tuner
import pytest
from keras_tuner.engine.trial import TrialStatus

from tune.oracles import SEED_MODULUS
from tune.oracles import bracket_size
from tune.oracles import create_oracle
from tune.oracles import fit_brackets
from tune.oracles import spread_seed
from tune.spec import OracleName


@hypothesis.given(
    st.integers(0, SEED_MODULUS - 1), st.integers(0, SEED_MODULUS - 1)
)
def test_seeds_are_told_apart(left, right):
    """No seed becomes 0, which means none, and no two become one."""
    assert 1 <= spread_seed(left) <= SEED_MODULUS
    assert (spread_seed(left) == spread_seed(right)) == (left == right)


def test_seed_zero_is_a_seed():
    """KerasTuner would draw a random one."""
    oracles = [
        create_oracle("random", max_trials=3, max_epochs=2, seed=0)
        for _ in range(2)
    ]

    assert oracles[0].seed == oracles[1].seed == spread_seed(0)


@pytest.mark.parametrize("name", get_args(OracleName))
def test_every_oracle_keeps_to_the_number_of_trials(name):
    """Hyperband too, which has no such option in KerasTuner."""
    oracle = create_oracle(name, max_trials=7, max_epochs=9, seed=0)

    assert oracle.max_trials == 7
    assert oracle.objective.name == "val_accuracy"
    assert oracle.objective.direction == "max"


@hypothesis.given(st.integers(1, 300), st.integers(1, 300))
def test_a_sweep_of_hyperband_fits(max_trials, max_epochs):
    """A whole sweep is within the trials, so that some train to the end."""
    num_brackets, end_size = fit_brackets(max_trials, max_epochs)

    sizes = [
        bracket_size(bracket, number, end_size)
        for bracket in range(num_brackets)
        for number in range(bracket + 1)
    ]

    assert sum(sizes) <= max_trials
    assert 1 <= num_brackets <= 1 + math.log(max_epochs, 3) + 1e-9
    assert min(sizes) >= 1


@pytest.mark.parametrize(
    ("max_trials", "expected"),
    [(1, (1, 1)), (10, (3, 1)), (32, (4, 1)), (90, (4, 5))],
)
def test_brackets_for_sixty_epochs(max_trials, expected):
    """More trials buy more brackets first, up to KerasTuner's own 90."""
    assert fit_brackets(max_trials, 60) == expected


@pytest.fixture(name="forgetful")
def _forgetful(monkeypatch):
    """Oracles that save nothing, and so need no folder."""
    monkeypatch.setattr(keras_tuner.Oracle, "save", lambda self: None)
    monkeypatch.setattr(keras_tuner.Oracle, "_save_trial", lambda self, t: None)


def run_trials(oracle, num_at_once, fails=lambda values: False):
    """Has an oracle propose all its trials; returns their values by batch."""
    batches = []
    while True:
        trials = []
        for number in range(num_at_once):
            trial = oracle.create_trial(f"{number}")
            if trial.status != TrialStatus.RUNNING:
                break
            trials.append(trial)
        if not trials:
            return batches
        for trial in trials:
            if fails(trial.hyperparameters.values):
                trial.status = TrialStatus.FAILED
            else:
                score = trial.hyperparameters.values.get("rate", 0.5)
                oracle.update_trial(trial.trial_id, {"val_accuracy": score})
                trial.status = TrialStatus.COMPLETED
            oracle.end_trial(trial)
        batches.append([trial.hyperparameters.values for trial in trials])


def flatten(batches):
    """Returns the values of all trials, in the order of the oracle."""
    return list(itertools.chain.from_iterable(batches))


def create_with_rate(name, max_trials):
    """Creates an oracle of heads whose accuracy is their rate."""
    oracle = create_oracle(name, max_trials=max_trials, max_epochs=60, seed=0)
    space = keras_tuner.HyperParameters()
    space.Float("rate", 0, 1)
    oracle.update_space(space)
    return oracle


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("num_at_once", [1, 3, 16, 32])
def test_sweeps_of_hyperband_are_whole(num_at_once):
    """However many at once: of 21, 9 and 2 trials, each within what is left.

    KerasTuner's begins a sweep that it cannot end instead of waiting.
    """
    batches = run_trials(create_with_rate("hyperband", 32), num_at_once)

    trials = flatten(batches)
    epochs = [values["tuner/epochs"] for values in trials]
    assert collections.Counter(epochs) == {3: 7, 7: 9, 20: 7, 60: 9}
    started = [v["rate"] for v in trials if v["tuner/epochs"] == 3]
    gone_on = [
        values["rate"]
        for values in trials
        if values["tuner/initial_epoch"] == 3
    ]
    assert len(gone_on) == 3
    if num_at_once >= len(started):
        assert gone_on == sorted(started, reverse=True)[:3]


@pytest.mark.usefixtures("forgetful")
def test_hyperband_gives_up_a_round_that_failed():
    """The trials that it leaves go to the next sweeps."""
    oracle = create_with_rate("hyperband", 32)

    batches = run_trials(
        oracle, 16, fails=lambda values: values["tuner/epochs"] == 3
    )

    epochs = [values["tuner/epochs"] for values in flatten(batches)]
    assert len(epochs) == 32
    assert epochs.count(60) > 3


@pytest.mark.usefixtures("forgetful")
def test_bayes_waits_for_its_random_trials(monkeypatch):
    """A quarter is random, though all could be drawn at once."""
    oracle = create_with_rate("bayesian", 16)
    draw, drawn = oracle._random_populate_space, []

    def count():
        drawn.append(len(oracle.trials))
        return draw()

    monkeypatch.setattr(oracle, "_random_populate_space", count)

    batches = run_trials(oracle, 16)

    assert [len(batch) for batch in batches] == [4, 12]
    assert drawn == [0, 1, 2, 3]


@pytest.mark.usefixtures("forgetful")
def test_bayes_draws_again_for_random_trials_that_failed():
    """It has something to fit before it proposes."""
    oracle = create_with_rate("bayesian", 16)
    failed = iter([True, True])

    batches = run_trials(oracle, 16, fails=lambda _: next(failed, False))

    assert [len(batch) for batch in batches] == [4, 1, 1, 10]


def draw_grid(max_trials, num_at_once):
    """Returns the points of a small grid in the order of their trials."""
    oracle = create_oracle("grid", max_trials=max_trials, max_epochs=1, seed=0)
    space = keras_tuner.HyperParameters()
    space.Choice("outer", ["a", "b", "c"])
    space.Choice("inner", [1, 2])
    oracle.update_space(space)
    return [
        (values["outer"], values["inner"])
        for values in flatten(run_trials(oracle, num_at_once))
    ]


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("num_at_once", [1, 2, 4, 7])
def test_a_grid_has_every_point_once(num_at_once):
    """In order, what was asked for last varied first; however many at once."""
    points = draw_grid(max_trials=99, num_at_once=num_at_once)

    assert points == list(itertools.product("abc", [1, 2]))


@pytest.mark.usefixtures("forgetful")
def test_a_grid_that_is_cut_short_keeps_its_order():
    """The first points are those of the whole grid."""
    assert draw_grid(3, num_at_once=2) == [("a", 1), ("a", 2), ("b", 1)]
