"""One step of a head, inside a graph: forward, backward and Adam, written out.

Adam is one operation of TensorFlow, where Keras takes a dozen passes over all
weights. A scale by dropout is applied to what is smaller, after the product.
"""

from collections.abc import Sequence

import tensorflow as tf

from head.training.dropout import keep
from tune.slot import BETA_1
from tune.slot import BETA_2
from tune.slot import Hyperparameters
from tune.slot import Kind
from tune.slot import StepPlan

EPSILON = 1e-7  # Of Adam, as Keras sets it.
UNIT_NORM_EPSILON = 1e-7  # Of Keras's constraint.
MIN_LENGTH = 1e-12  # Of Keras's unit normalisation.


def take_step(
    kind: Kind,
    weights: Sequence[tf.Variable],
    moments: Sequence[tf.Variable],
    hyperparameters: Hyperparameters,
    *,
    features: tf.Tensor,
    wanted: tf.Tensor,
    error_weights: tf.Tensor,
    drawn: Sequence[tf.Tensor],
    plan: StepPlan,
) -> tf.Tensor:
    """Takes one step, inside a graph.

    Args:
        kind: Of the slot; so are the next three.
        weights: Changed.
        moments: Of Adam, the first ones of all weights, then the second ones;
            changed.
        hyperparameters: Of the slot.
        features: Normalised `(batch, feature_dim)`, all but for their scale
            in the plan.
        wanted: Shares of the classes `(batch, num_classes)`.
        error_weights: Of each image in the mean `(batch, 1)`.
        drawn: Bytes for each dropout, in the order of the layers.
        plan: Of this step.

    Returns:
        The loss: infinite or no number where the training diverges.
    """
    has_hidden, has_cosines = kind
    num_dropped, scale, _, sharpness = hyperparameters
    kernel = weights[-1] if has_cosines else weights[-2]
    # === Forward ===
    inputs, factor = features, scale
    if has_hidden:
        first_factor = scale * plan.feature_scale
        dropped = keep(features, drawn[0], num_dropped)
        inputs = tf.matmul(dropped, weights[0]) * first_factor + weights[1]
        inputs = tf.nn.relu(inputs)
    elif not has_cosines:  # Which are the same whatever the scale.
        factor *= plan.feature_scale
    if has_cosines:
        length = tf.maximum(tf.norm(inputs, axis=1, keepdims=True), MIN_LENGTH)
        factor *= sharpness / length
    kept = keep(inputs, drawn[-1], num_dropped)
    logits = tf.matmul(kept, kernel) * factor
    if not has_cosines:
        logits += weights[-1]
    losses, errors = tf.raw_ops.SoftmaxCrossEntropyWithLogits(
        features=logits, labels=wanted
    )
    # === Backward ===
    errors *= error_weights
    scaled = errors * factor
    gradients = [tf.matmul(kept, scaled, transpose_a=True)]
    if not has_cosines:
        gradients.append(tf.reduce_sum(errors, axis=0))
    if has_hidden:
        back = tf.matmul(scaled, kernel, transpose_b=True)
        back = keep(back, drawn[-1], num_dropped)
        if has_cosines:  # A longer vector has the same ones.
            along = tf.reduce_sum(inputs * back, axis=1, keepdims=True)
            back -= inputs * along / tf.square(length)
        back = tf.raw_ops.ReluGrad(gradients=back, features=inputs)
        gradients = [
            tf.matmul(dropped, back * first_factor, transpose_a=True),
            tf.reduce_sum(back, axis=0),
            *gradients,
        ]
    # === Update ===
    tf.cond(plan.left < 1, lambda: _shrink(weights, plan.left), lambda: 0.0)
    for number, (weight, gradient) in enumerate(
        zip(weights, gradients, strict=True)
    ):
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=moments[number].handle,
            v=moments[len(weights) + number].handle,
            beta1_power=plan.power_1,
            beta2_power=plan.power_2,
            lr=plan.rate,
            beta1=BETA_1,
            beta2=BETA_2,
            epsilon=EPSILON,
            grad=gradient,
        )
    if has_cosines:
        norms = tf.norm(kernel.read_value(), axis=0, keepdims=True)
        kernel.assign(kernel / (norms + UNIT_NORM_EPSILON))
    return tf.reduce_sum(losses)


def compute_logits(
    kind: Kind,
    weights: Sequence[tf.Variable],
    hyperparameters: Hyperparameters,
    features: tf.Tensor,
) -> tf.Tensor:
    """Returns the logits of normalised features, inside a graph.

    Args:
        kind: Of the slot; so are the next two.
        weights: As they are now.
        hyperparameters: Of the slot.
        features: `(num_images, feature_dim)`.
    """
    has_hidden, has_cosines = kind
    if has_hidden:
        features = tf.nn.relu(tf.matmul(features, weights[0]) + weights[1])
    if not has_cosines:
        return tf.matmul(features, weights[-2]) + weights[-1]
    length = tf.norm(features, axis=1, keepdims=True)
    last = features / tf.maximum(length, MIN_LENGTH)
    return tf.matmul(last, weights[-1]) * hyperparameters.sharpness


def _shrink(weights: Sequence[tf.Variable], left: tf.Tensor) -> float:
    """Decays weights: one pass over them, as the product is not copied."""
    for weight in weights:
        weight.assign(weight * left)
    return 0.0
