"""The search space: the only place that asks KerasTuner for a value.

Every oracle searches the same things, all but the grid over ranges. The grid
takes two steps of most, since the number of its points is their product.
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
# Of a cosine head, whose weights have unit length, whatever the features.
COSINE_LEARNING_RATE = 2e-3
# Times the rates above; the reference recipe's 5e-4 is within.
LEARNING_RATE_FACTORS = (0.2, 5.0)
HEADS = ("dense", "cosine", "hidden")
TEMPERATURES = (0.02, 0.2)  # Of a cosine head.
HIDDEN_UNITS = (128, 256)  # Of a hidden layer; 64 is no better than none.
DROPOUTS = (0.0, 0.6)
# Keras multiplies it by the learning rate.
WEIGHT_DECAYS = (1e-3, 3e-1)
LABEL_SMOOTHINGS = (0.0, 0.2)
MIXUPS = (0.05, 1.0)
SCHEDULES = ("constant", "cosine")
WARMUP_EPOCHS = (0, 2)
EPOCH_SHARES = (1.0, 0.5, 0.25)  # Of the largest number.

# Where a grid is cut short, what was declared last has been varied most.
GRID: dict[str, Sequence[Any]] = {
    "label_smoothing": (0.0, 0.1),
    "weight_decay": (0.0, 0.1),
    "epoch_share": (1.0, 0.5),
    "dropout": (0.25, 0.5),
    "schedule": SCHEDULES,
    "head": HEADS,
    "mixup": (0.0, 0.2),
    "learning_rate_factor": (1.0, 3.0),
    "normalization": NORMALIZATIONS,
}
GRID_TEMPERATURE = 0.05
GRID_HIDDEN_UNITS = 128

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
    num_views: int,
    fingerprint: str | None,
) -> HeadSpec:
    """Returns what the hyperparameters of a trial say.

    Args:
        hp: Values of a trial; what is asked for becomes part of its space.
        oracle: What proposes it; a grid takes few steps of each range, and
            Hyperband decides on the number of epochs itself.
        max_epochs: Largest number of epochs.
        num_views: Views of an image, two of which may be mixed.
        fingerprint: Of the cache.
    """
    if oracle == "grid":
        values = {name: hp.Choice(name, list(v)) for name, v in GRID.items()}
        head = values.pop("head")
        if head == "cosine":
            values["temperature"] = GRID_TEMPERATURE
        if head == "hidden":
            values["hidden_units"] = GRID_HIDDEN_UNITS
    else:
        values = _suggest_from_ranges(
            hp, has_epochs=oracle != "hyperband", num_views=num_views
        )
    share = values.pop("epoch_share", 1.0)
    epochs = hp.values.get("tuner/epochs", math.ceil(max_epochs * share))
    rate = LEARNING_RATES[values["normalization"]]
    if "temperature" in values:
        rate = COSINE_LEARNING_RATE
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
    hp: "keras_tuner.HyperParameters", *, has_epochs: bool, num_views: int
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
        "warmup_epochs": hp.Choice("warmup_epochs", list(WARMUP_EPOCHS)),
    }
    head = hp.Choice("head", list(HEADS))
    with hp.conditional_scope("head", ["cosine"]):
        temperature = hp.Float("temperature", *TEMPERATURES, sampling="log")
    with hp.conditional_scope("head", ["hidden"]):
        hidden_units = hp.Choice("hidden_units", list(HIDDEN_UNITS))
    if head == "cosine":
        values["temperature"] = temperature
    if head == "hidden":
        values["hidden_units"] = hidden_units
    # None at all is a choice of its own: no logarithmic range reaches it.
    for name, bounds in (("weight_decay", WEIGHT_DECAYS), ("mixup", MIXUPS)):
        hp.Boolean(f"has_{name}")
        with hp.conditional_scope(f"has_{name}", [True]):
            values[name] = hp.Float(name, *bounds, sampling="log") or 0.0
    if num_views > 1:
        values["view_mixing"] = hp.Boolean("view_mixing")
    if has_epochs:
        values["epoch_share"] = hp.Choice("epoch_share", list(EPOCH_SHARES))
        # Hyperband goes on with a training, whose rate must not have fallen.
        values["schedule"] = hp.Choice("schedule", list(SCHEDULES))
    return values


def _shorten(value: Any) -> Any:
    return float(f"{value:.{SHOWN_DIGITS}g}") if type(value) is float else value
