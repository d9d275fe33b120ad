"""The search space: the only place that asks KerasTuner for a value.

Every oracle searches the same seven things, all but the grid over ranges. The
grid takes two steps of each, since the number of its points is their product.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from head.spec import HeadSpec
from tune.spec import OracleName

if TYPE_CHECKING:
    import keras_tuner

# A step of Adam moves each weight by about the learning rate, so that what
# reaches the logits depends on the size of the features: vectors scaled to
# unit length need steps 50 times as large as raw ones (digits and pets).
LEARNING_RATES = {
    "none": 1e-3,
    "l2": 5e-2,
    "sqrt": 1e-3,
    "standardize": 5e-4,
}
NORMALIZATIONS = tuple(LEARNING_RATES)
# Times the rate above; the reference recipe's 5e-4 is within.
LEARNING_RATE_FACTORS = (0.2, 5.0)
DROPOUTS = (0.0, 0.6)
# Keras multiplies it by the learning rate.
WEIGHT_DECAYS = (1e-3, 3e-1)
LABEL_SMOOTHINGS = (0.0, 0.2)
HIDDEN_UNITS = (0, 256, 512)
EPOCH_SHARES = (1.0, 0.5, 0.25)  # Of the largest number.

# Where a grid is cut short, what was declared last has been varied most.
GRID: dict[str, Sequence[Any]] = {
    "label_smoothing": (0.0, 0.1),
    "weight_decay": (0.0, 0.1),
    "epoch_share": (1.0, 0.5),
    "dropout": (0.25, 0.5),
    "hidden_units": (0, 256),
    "learning_rate_factor": (1.0, 3.0),
    "normalization": NORMALIZATIONS,
}

# The reference recipe takes 32. On 2 cores 64 trains digits and pets in 0.7
# of its time, to the same accuracy at the learning rates above; 128 saves no
# more on pets.
BATCH_SIZE = 64
SHOWN_DIGITS = 3  # A learning rate of 0.00123 is as good and can be read.


def suggest_spec(
    hp: "keras_tuner.HyperParameters",
    *,
    oracle: OracleName,
    max_epochs: int,
    fingerprint: str | None,
) -> HeadSpec:
    """Returns what the hyperparameters of a trial say.

    Args:
        hp: Values of a trial; what is asked for becomes part of its space.
        oracle: What proposes it; a grid takes few steps of each range, and
            Hyperband decides on the number of epochs itself.
        max_epochs: Largest number of epochs.
        fingerprint: Of the cache.
    """
    if oracle == "grid":
        values = {name: hp.Choice(name, list(v)) for name, v in GRID.items()}
    else:
        values = _suggest_from_ranges(hp, has_epochs=oracle != "hyperband")
    share = values.pop("epoch_share", 1.0)
    epochs = hp.values.get("tuner/epochs", math.ceil(max_epochs * share))
    rate = LEARNING_RATES[values["normalization"]]
    values["learning_rate"] = rate * values.pop("learning_rate_factor")
    return HeadSpec(
        **{name: _shorten(value) for name, value in values.items()},
        epochs=epochs,
        batch_size=BATCH_SIZE,
        fingerprint=fingerprint,
    )


def count_grid_points() -> int:
    """Returns how many trials the whole grid takes."""
    return math.prod(len(values) for values in GRID.values())


def _suggest_from_ranges(
    hp: "keras_tuner.HyperParameters", *, has_epochs: bool
) -> dict[str, Any]:
    values = {
        "normalization": hp.Choice("normalization", list(NORMALIZATIONS)),
        "learning_rate_factor": hp.Float(
            "learning_rate_factor",
            *LEARNING_RATE_FACTORS,
            sampling="log",
            default=1.0,
        ),
        "dropout": hp.Float("dropout", *DROPOUTS, default=0.25),
        "label_smoothing": hp.Float("label_smoothing", *LABEL_SMOOTHINGS),
        "hidden_units": hp.Choice("hidden_units", list(HIDDEN_UNITS)),
    }
    # None at all is a choice of its own: no logarithmic range reaches it.
    hp.Boolean("has_weight_decay")
    with hp.conditional_scope("has_weight_decay", [True]):
        weight_decay = hp.Float("weight_decay", *WEIGHT_DECAYS, sampling="log")
    values["weight_decay"] = weight_decay or 0.0
    if has_epochs:
        values["epoch_share"] = hp.Choice("epoch_share", list(EPOCH_SHARES))
    return values


def _shorten(value: Any) -> Any:
    return float(f"{value:.{SHOWN_DIGITS}g}") if type(value) is float else value
