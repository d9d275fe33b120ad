"""The head: one feature vector to the logits of each class."""

from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.rows import Rows
from embed.stream import RowStream
from head.spec import HeadSpec
from head.spec import Normalization
from head.training.feed import shape_of
from head.training.moments import compute_moments

if TYPE_CHECKING:
    import keras

NAME = "head"
NORMALIZED = "normalized"  # The layer after which a head is trained.
# A feature that hardly ever differs in the training rows would be blown up
# without bound where it does; it is scaled as if it had this share.
MIN_VARIANCE_SHARE = 1e-2  # Of the mean variance of all features.
NUM_SEEDS = 4  # Two dense and two dropout layers at most.


def build_head(
    spec: HeadSpec,
    *,
    train: Rows | RowStream,
    num_classes: int,
    seed: int,
) -> "keras.Model":
    """Builds an untrained head.

    Args:
        spec: What to build.
        train: Training rows, by which `standardize` centres and scales.
        num_classes: Number of logits.
        seed: Of initial weights and dropout.

    Returns:
        A model, features `(batch, feature_dim)` to logits
        `(batch, num_classes)`. Softmax of the logits are the probabilities.
    """
    import keras

    # Each layer has a seed of its own, so that no two draw the same numbers.
    seeds = iter(np.random.SeedSequence(seed).generate_state(NUM_SEEDS))

    def dense(units: int, name: str, **options: Any) -> "keras.Layer":
        initializer = keras.initializers.GlorotUniform(int(next(seeds)))
        return keras.layers.Dense(
            units,
            kernel_initializer=initializer,
            name=name,
            **options,
        )

    def dropout(x: "keras.KerasTensor") -> "keras.KerasTensor":
        return keras.layers.Dropout(spec.dropout, seed=int(next(seeds)))(x)

    # === Layers ===
    features = keras.Input((shape_of(train)[-1],), name="features")
    normalized = create_normalizer(spec.normalization, train)(features)
    x = keras.layers.Identity(name=NORMALIZED)(normalized)
    # === Functional Model ===
    if spec.hidden_units:
        x = dense(spec.hidden_units, "hidden", activation="relu")(dropout(x))
    if spec.temperature is None:
        logits = dense(num_classes, "logits")(dropout(x))
        return keras.Model(features, logits, name=NAME)
    cosines = dense(
        num_classes,
        "cosines",
        use_bias=False,
        kernel_constraint=keras.constraints.UnitNorm(axis=0),
    )(dropout(keras.layers.UnitNormalization(name="direction")(x)))
    scale = keras.layers.Rescaling(1 / spec.temperature, name="logits")
    return keras.Model(features, scale(cosines), name=NAME)


def create_normalizer(
    normalization: Normalization, train: Rows | RowStream
) -> Any:
    """Returns what normalises features, tensors as well as Keras's.

    Args:
        normalization: How.
        train: Training rows, by which `standardize` centres and scales.
    """
    import keras

    if normalization == "l2":
        return keras.layers.UnitNormalization(name="l2")
    if normalization == "sqrt":
        # The power transform of Perronnin et al. (2010), "Improving the
        # Fisher kernel": it tames the few large features.
        return lambda features: (
            keras.ops.sign(features) * keras.ops.sqrt(keras.ops.abs(features))
        )
    if normalization == "standardize":
        moments = compute_moments(train)
        floor = MIN_VARIANCE_SHARE * moments.variance.mean()
        layer = keras.layers.Normalization(
            mean=moments.mean.tolist(),
            variance=np.maximum(moments.variance, floor).tolist(),
            name="standardize",
        )
        layer.build((None, len(moments.mean)))  # Or a graph might do it.
        return layer
    return lambda features: features
