"""The steps of a head that is trained beside others, as one graph a kind.

The same arithmetic as `head.trainer` has from layers and optimizer of Keras,
written out. Keras would have a graph traced for each head, which takes longer
than to train it, and Adam in a dozen passes over all weights; here heads of
one kind share a graph, and Adam is one operation of TensorFlow.
"""

import functools
import itertools
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from head.dropout import keep
from head.dropout import scale_of
from head.mixing import mix
from head.mixing import partners_of
from tune.batches import Batches
from tune.batches import Normalizer
from tune.slot import Slot

# Of Adam, as Keras sets them.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
UNIT_NORM_EPSILON = 1e-7  # Of Keras's constraint.
MIN_LENGTH = 1e-12  # Of Keras's unit normalisation.

Kind = tuple[bool, bool]  # Has a hidden layer; has cosines for logits.


class Steps:
    """The graphs of all kinds of heads on features of one size.

    Args:
        normalizers: What heads do to features first, by name.
        num_classes: Number of classes.
    """

    def __init__(
        self, normalizers: Mapping[str, Normalizer], num_classes: int
    ) -> None:
        self._normalizers = normalizers
        self._num_classes = num_classes
        kinds = list(itertools.product((False, True), repeat=2))
        self._run, self._judge = (
            {kind: tf.function(functools.partial(of, kind)) for kind in kinds}
            for of in (self._run_kind, self._judge_kind)
        )

    def take(
        self,
        slot: Slot,
        batches: Batches,
        features: tf.Tensor,
        drawn: Sequence[tf.Tensor],
    ) -> float:
        """Takes the steps of some batches; returns the sum of the losses.

        Args:
            slot: Whose; it is changed.
            batches: What was drawn.
            features: Of their images `(num_batches, batch_size,
                feature_dim)`, normalised where the slot mixes none.
            drawn: Bytes for each dropout layer `(num_batches, batch_size,
                size)`.
        """
        names = list(self._normalizers)
        loss = self._run[slot.kind](
            slot.weights,
            slot.moments,
            slot.hyperparameters,
            tf.constant(slot.spec.mixup > 0),
            tf.constant(names.index(slot.spec.normalization)),
            features,
            batches.labels,
            batches.weights,
            list(drawn),
            slot.rates(batches),
            slot.draw_shares(batches),
            tf.constant(batches.first_step),
        )
        return float(loss)

    def judge(
        self, slot: Slot, features: tf.Tensor, labels: tf.Tensor
    ) -> np.ndarray:
        """Returns the sum of the losses and the number of right answers.

        Args:
            slot: Whose.
            features: Normalised `(num_images, feature_dim)`.
            labels: int32 `(num_images,)`.

        Returns:
            float64 `(2,)`.
        """
        losses, is_right = self._judge[slot.kind](
            slot.weights, slot.hyperparameters, features, labels
        )
        return np.array([losses.numpy().sum(dtype=np.float64), is_right])

    def _judge_kind(
        self,
        kind: Kind,
        weights: Sequence[tf.Variable],
        hyperparameters: tf.Tensor,
        features: tf.Tensor,
        labels: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        logits = compute_logits(kind, weights, hyperparameters, features)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        is_right = tf.argmax(logits, -1, output_type=labels.dtype) == labels
        return losses, tf.math.count_nonzero(is_right)

    def _run_kind(
        self,
        kind: Kind,
        weights: Sequence[tf.Variable],
        moments: Sequence[tf.Variable],
        hyperparameters: tf.Tensor,
        is_mixed: tf.Tensor,
        normalization: tf.Tensor,
        features: tf.Tensor,
        labels: tf.Tensor,
        image_weights: tf.Tensor,
        drawn: Sequence[tf.Tensor],
        rates: tf.Tensor,
        shares: tf.Tensor,
        first_step: tf.Tensor,
    ) -> tf.Tensor:
        loss = 0.0
        for number in tf.range(tf.shape(rates)[0]):
            x, weight = features[number], image_weights[number]
            wanted = tf.one_hot(labels[number], self._num_classes)
            x, wanted = tf.cond(
                is_mixed,
                functools.partial(
                    self._mix, x, wanted, weight, shares[number], normalization
                ),
                lambda x=x, wanted=wanted: (x, wanted),
            )
            loss += take_step(
                kind,
                weights,
                moments,
                hyperparameters,
                features=x,
                wanted=wanted,
                image_weights=weight,
                drawn=[of[number] for of in drawn],
                rate=rates[number],
                step=tf.cast(first_step + number + 1, tf.float32),
            )
        return loss

    def _mix(
        self,
        features: tf.Tensor,
        wanted: tf.Tensor,
        image_weights: tf.Tensor,
        share: tf.Tensor,
        normalization: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mixes the images of a batch and normalises the mixtures."""
        num_images = tf.cast(tf.reduce_sum(image_weights), tf.int32)
        partners = partners_of(num_images, features.shape[0])
        features, wanted = (
            mix(of, tf.gather(of, partners), share) for of in (features, wanted)
        )
        normalized = tf.switch_case(
            normalization,
            [
                functools.partial(normalizer, features)
                for normalizer in self._normalizers.values()
            ],
        )
        return normalized, wanted


def take_step(
    kind: tuple[bool, bool],
    weights: Sequence[tf.Variable],
    moments: Sequence[tf.Variable],
    hyperparameters: tf.Tensor,
    *,
    features: tf.Tensor,
    wanted: tf.Tensor,
    image_weights: tf.Tensor,
    drawn: Sequence[tf.Tensor],
    rate: tf.Tensor,
    step: tf.Tensor,
) -> tf.Tensor:
    """Takes one step, inside a graph.

    Args:
        kind: Of the slot; so are the next three.
        weights: Changed.
        moments: Of Adam, the first ones of all weights, then the second ones;
            changed.
        hyperparameters: Of the slot.
        features: Normalised `(batch, feature_dim)`.
        wanted: Shares of the classes `(batch, num_classes)`.
        image_weights: Of each image `(batch,)`.
        drawn: Bytes for each dropout, in the order of the layers.
        rate: Learning rate.
        step: Number of the step, float32 from 1.

    Returns:
        The sum of the losses.
    """
    has_hidden, has_cosines = kind
    num_dropped, weight_decay, smoothing, sharpness = tf.unstack(
        hyperparameters
    )
    scale = scale_of(num_dropped)
    num_classes = wanted.shape[-1]
    kernel = weights[-1] if has_cosines else weights[-2]
    # === Forward ===
    inputs = features
    if has_hidden:
        dropped = keep(features, drawn[0], num_dropped)
        inputs = tf.nn.relu(tf.matmul(dropped, weights[0]) * scale + weights[1])
    last = inputs
    if has_cosines:
        length = tf.maximum(tf.norm(inputs, axis=1, keepdims=True), MIN_LENGTH)
        last = inputs / length
    factor = scale * sharpness if has_cosines else scale
    kept = keep(last, drawn[-1], num_dropped)
    logits = tf.matmul(kept, kernel) * factor
    if not has_cosines:
        logits += weights[-1]
    losses, errors = tf.raw_ops.SoftmaxCrossEntropyWithLogits(
        features=logits,
        labels=wanted * (1 - smoothing) + smoothing / num_classes,
    )
    # === Backward ===
    errors *= (image_weights / tf.reduce_sum(image_weights))[:, tf.newaxis]
    scaled = errors * factor
    gradients = [tf.matmul(kept, scaled, transpose_a=True)]
    if not has_cosines:
        gradients.append(tf.reduce_sum(errors, axis=0))
    if has_hidden:
        back = tf.matmul(scaled, kernel, transpose_b=True)
        back = keep(back, drawn[-1], num_dropped)
        if has_cosines:
            along = tf.reduce_sum(last * back, axis=1, keepdims=True)
            back = (back - last * along) / length
        back = tf.raw_ops.ReluGrad(gradients=back, features=inputs)
        gradients = [
            tf.matmul(dropped, back * scale, transpose_a=True),
            tf.reduce_sum(back, axis=0),
            *gradients,
        ]
    # === Update ===
    tf.cond(
        weight_decay > 0,
        lambda: _shrink(weights, weight_decay * rate),
        lambda: 0.0,
    )
    for number, (weight, gradient) in enumerate(
        zip(weights, gradients, strict=True)
    ):
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=moments[number].handle,
            v=moments[len(weights) + number].handle,
            beta1_power=tf.pow(BETA_1, step),
            beta2_power=tf.pow(BETA_2, step),
            lr=rate,
            beta1=BETA_1,
            beta2=BETA_2,
            epsilon=EPSILON,
            grad=gradient,
        )
    if has_cosines:
        norms = tf.norm(kernel.read_value(), axis=0, keepdims=True)
        kernel.assign(kernel / (norms + UNIT_NORM_EPSILON))
    return tf.reduce_sum(losses * image_weights)


def compute_logits(
    kind: Kind,
    weights: Sequence[tf.Variable],
    hyperparameters: tf.Tensor,
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
    return tf.matmul(last, weights[-1]) * hyperparameters[-1]


def _shrink(weights: Sequence[tf.Variable], share: tf.Tensor) -> float:
    for weight in weights:
        weight.assign_sub(weight * share)
    return 0.0
