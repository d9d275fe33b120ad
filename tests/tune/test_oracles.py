"""Tests for `tune.oracles`."""

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


def draw_grid(max_trials, num_at_once):
    """Returns the points of a small grid in the order of their trials."""
    oracle = create_oracle("grid", max_trials=max_trials, max_epochs=1, seed=0)
    space = keras_tuner.HyperParameters()
    space.Choice("outer", ["a", "b", "c"])
    space.Choice("inner", [1, 2])
    oracle.update_space(space)
    points = []
    while True:
        trials = [oracle.create_trial(f"{n}") for n in range(num_at_once)]
        going = [t for t in trials if t.status == TrialStatus.RUNNING]
        for trial in going:
            values = trial.hyperparameters.values
            points.append((values["outer"], values["inner"]))
            oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
            trial.status = TrialStatus.COMPLETED
            oracle.end_trial(trial)
        if len(going) < num_at_once:
            return points


@pytest.mark.parametrize("num_at_once", [1, 2, 4, 7])
def test_a_grid_has_every_point_once(num_at_once, tmp_path, monkeypatch):
    """In order, what was asked for last varied first; however many at once."""
    monkeypatch.setattr(keras_tuner.Oracle, "save", lambda self: None)
    monkeypatch.setattr(keras_tuner.Oracle, "_save_trial", lambda self, t: None)

    points = draw_grid(max_trials=99, num_at_once=num_at_once)

    assert points == list(itertools.product("abc", [1, 2]))


def test_a_grid_that_is_cut_short_keeps_its_order(monkeypatch):
    """The first points are those of the whole grid."""
    monkeypatch.setattr(keras_tuner.Oracle, "save", lambda self: None)
    monkeypatch.setattr(keras_tuner.Oracle, "_save_trial", lambda self, t: None)

    assert draw_grid(3, num_at_once=2) == [("a", 1), ("a", 2), ("b", 1)]
