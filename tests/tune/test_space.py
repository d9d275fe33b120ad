"""Tests for `tune.space`."""

from typing import get_args

import keras_tuner
import pytest

from head.spec import RECIPES
from head.spec import HeadSpec
from tune.space import BATCH_SIZE
from tune.space import EPOCH_SHARES
from tune.space import GRID
from tune.space import HIDDEN_UNITS
from tune.space import LEARNING_RATE_FACTORS
from tune.space import LEARNING_RATES
from tune.space import NORMALIZATIONS
from tune.space import count_grid_points
from tune.space import suggest_spec
from tune.spec import OracleName

NUM_DRAWN = 200


def draw_specs(oracle, max_epochs=60):
    """Draws specs from a space as a random oracle would."""
    specs = []
    space = keras_tuner.HyperParameters()
    suggest_spec(space, oracle=oracle, max_epochs=max_epochs, fingerprint="f")
    for seed in range(NUM_DRAWN):
        hp = keras_tuner.HyperParameters()
        for parameter in space.space:
            hp.merge([parameter])
            if hp.is_active(parameter):
                hp.values[parameter.name] = parameter.random_sample(
                    seed * len(space.space) + len(hp.space)
                )
        specs.append(
            suggest_spec(
                hp, oracle=oracle, max_epochs=max_epochs, fingerprint="f"
            )
        )
    return specs


@pytest.mark.parametrize("oracle", ["random", "bayesian", "grid"])
def test_every_field_is_searched(oracle):
    """Only batch size and cache are the same in all trials."""
    specs = draw_specs(oracle)

    same = {
        name
        for name in HeadSpec.model_fields
        if len({getattr(spec, name) for spec in specs}) == 1
    }

    assert same == {"batch_size", "fingerprint", "chosen_on"}
    assert {spec.normalization for spec in specs} == set(NORMALIZATIONS)
    assert specs[0].batch_size == BATCH_SIZE
    assert specs[0].fingerprint == "f"


def test_no_weight_decay_is_a_choice():
    """Trials come with and without weight decay, hidden layer or not."""
    specs = draw_specs("random")

    num_without = sum(spec.weight_decay == 0 for spec in specs)

    assert NUM_DRAWN / 3 < num_without < NUM_DRAWN * 2 / 3
    assert {spec.hidden_units for spec in specs} == set(HIDDEN_UNITS)


def test_learning_rate_fits_the_normalization():
    """The range moves with the size of the features and stays logarithmic."""
    for spec in draw_specs("random"):
        factor = spec.learning_rate / LEARNING_RATES[spec.normalization]
        assert LEARNING_RATE_FACTORS[0] * 0.99 <= factor
        assert factor <= LEARNING_RATE_FACTORS[1] * 1.01


def test_reference_recipe_is_within_the_ranges():
    """What the search compares itself with is in its own space."""
    reference = RECIPES["reference"]

    factor = reference.learning_rate / LEARNING_RATES[reference.normalization]

    assert LEARNING_RATE_FACTORS[0] <= factor <= LEARNING_RATE_FACTORS[1]
    assert reference.dropout in GRID["dropout"]


@pytest.mark.parametrize("max_epochs", [1, 2, 3, 60])
def test_epochs_are_shares_of_the_largest_number(max_epochs):
    """No trial has fewer than one epoch or more than were allowed."""
    epochs = {spec.epochs for spec in draw_specs("random", max_epochs)}

    assert max(epochs) == max_epochs
    assert min(epochs) >= max_epochs * min(EPOCH_SHARES)


def test_hyperband_decides_on_the_epochs():
    """`tuner/epochs` counts, and the space has no epochs of its own."""
    hp = keras_tuner.HyperParameters()
    hp.values["tuner/epochs"] = 7

    spec = suggest_spec(hp, oracle="hyperband", max_epochs=60, fingerprint="f")

    assert spec.epochs == 7
    assert "epoch_share" not in hp.values


def test_grid_has_as_many_points_as_it_says():
    """Its size is the product of its steps, none of them conditional."""
    hp = keras_tuner.HyperParameters()

    suggest_spec(hp, oracle="grid", max_epochs=60, fingerprint="f")

    assert not any(parameter.conditions for parameter in hp.space)
    assert count_grid_points() == 2**6 * len(NORMALIZATIONS)


@pytest.mark.parametrize("oracle", get_args(OracleName))
def test_values_determine_the_spec(oracle):
    """The same values give the same spec: results are never guessed again."""
    assert draw_specs(oracle)[:20] == draw_specs(oracle)[:20]
