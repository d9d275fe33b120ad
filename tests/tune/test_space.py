"""Tests for `tune.space`."""

from typing import get_args

import keras_tuner
import pytest

from head.spec import RECIPES
from head.spec import HeadSpec
from tune.space import BATCH_SIZE
from tune.space import COSINE_LEARNING_RATE
from tune.space import EPOCH_SHARES
from tune.space import GRID
from tune.space import HEADS
from tune.space import LEARNING_RATE_FACTORS
from tune.space import LEARNING_RATES
from tune.space import NORMALIZATIONS
from tune.space import count_grid_points
from tune.space import suggest_spec
from tune.spec import OracleName

NUM_DRAWN = 200
NEVER_SEARCHED = {
    "batch_size",
    "fingerprint",
    "chosen_on",
    "chosen_on_rows",
    "others",
}


def draw_specs(oracle, max_epochs=60, num_views=2):
    """Draws specs from a space as a random oracle would."""
    specs = []
    space = keras_tuner.HyperParameters()
    options = {
        "oracle": oracle,
        "max_epochs": max_epochs,
        "num_views": num_views,
        "fingerprint": "f",
    }
    suggest_spec(space, **options)
    for seed in range(NUM_DRAWN):
        hp = keras_tuner.HyperParameters()
        for parameter in space.space:
            hp.merge([parameter])
            if hp.is_active(parameter):
                hp.values[parameter.name] = parameter.random_sample(
                    seed * len(space.space) + len(hp.space)
                )
        specs.append(suggest_spec(hp, **options))
    return specs


@pytest.mark.parametrize(
    ("oracle", "same"),
    [
        ("random", set()),
        ("bayesian", set()),
        ("hyperband", {"epochs", "schedule"}),
        ("grid", {"view_mixing", "warmup_epochs"}),
    ],
)
def test_every_field_is_searched(oracle, same):
    """Batch size and cache are the same in all trials, and little else.

    Hyperband decides on the epochs, and goes on with trainings, so that the
    rate must not have fallen. The grid has the most important things alone.
    """
    specs = draw_specs(oracle)

    found = {
        name
        for name in HeadSpec.model_fields
        if len({getattr(spec, name) for spec in specs}) == 1
    }

    assert found == {*NEVER_SEARCHED, *same}
    assert {spec.normalization for spec in specs} == set(NORMALIZATIONS)
    assert specs[0].batch_size == BATCH_SIZE
    assert specs[0].fingerprint == "f"


@pytest.mark.parametrize("field", ["weight_decay", "mixup"])
def test_none_is_a_choice(field):
    """Half of the trials come without."""
    specs = draw_specs("random")

    num_without = sum(getattr(spec, field) == 0 for spec in specs)

    assert NUM_DRAWN / 3 < num_without < NUM_DRAWN * 2 / 3


@pytest.mark.parametrize("oracle", ["random", "grid"])
def test_a_head_is_one_of_three(oracle):
    """A cosine head has a temperature, a hidden layer units, none has both."""
    specs = draw_specs(oracle)

    kinds = {(s.temperature is not None, s.hidden_units > 0) for s in specs}

    assert kinds == {(False, False), (True, False), (False, True)}


def test_views_are_mixed_where_there_are_two():
    """A cache of one view leaves nothing to choose."""
    specs = draw_specs("random", num_views=1)

    assert not any(spec.view_mixing for spec in specs)


def test_learning_rate_fits_the_head():
    """The range moves with the size of what reaches it."""
    for spec in draw_specs("random"):
        rate = LEARNING_RATES[spec.normalization]
        if spec.temperature is not None:
            rate = COSINE_LEARNING_RATE
        factor = spec.learning_rate / rate
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

    spec = suggest_spec(
        hp, oracle="hyperband", max_epochs=60, num_views=2, fingerprint="f"
    )

    assert spec.epochs == 7
    assert "epoch_share" not in hp.values


def test_grid_has_as_many_points_as_it_says():
    """Its size is the product of its steps, none of them conditional."""
    hp = keras_tuner.HyperParameters()

    suggest_spec(hp, oracle="grid", max_epochs=60, num_views=2, fingerprint="f")

    assert not any(parameter.conditions for parameter in hp.space)
    assert count_grid_points() == 2**7 * len(HEADS) * len(NORMALIZATIONS)


@pytest.mark.parametrize("oracle", get_args(OracleName))
def test_values_determine_the_spec(oracle):
    """The same values give the same spec: results are never guessed again."""
    assert draw_specs(oracle)[:20] == draw_specs(oracle)[:20]
