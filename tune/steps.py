"""The steps of a head that is trained beside others, as one graph a kind.

The same arithmetic as `head.training.trainer` has from layers and optimizer of
Keras, written out in `tune.step`: Keras would have a graph traced for each
head, which takes longer than to train it. Here heads of one kind share a graph.
"""

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from head.training.mixing import mix
from head.training.trainer import judge_logits
from tune.batches import Batches
from tune.slot import Hyperparameters
from tune.slot import Kind
from tune.slot import Slot
from tune.slot import StepPlan
from tune.step import compute_logits
from tune.step import take_step


class Steps:
    """The graphs of all kinds of heads on features of one size.

    Args:
        num_classes: Number of classes.
    """

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        kinds: list[Kind] = [
            (a, b) for a in (False, True) for b in (False, True)
        ]
        self._run, self._judge = (
            {kind: _compile(functools.partial(of, kind)) for kind in kinds}
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
            features: Of their images `(num_batches, batch_size + 1,
                feature_dim)`, normalised.
            drawn: Bytes for each dropout layer `(num_batches, batch_size,
                size)`.
        """
        loss = self._run[slot.kind](
            slot.weights,
            slot.moments,
            slot.hyperparameters,
            tf.constant(slot.spec.mixup > 0),
            features,
            batches.labels,
            batches.weights,
            list(drawn),
            slot.plan(batches),
            tf.constant(batches.num_steps),
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

    def compute_logits(self, slot: Slot, features: tf.Tensor) -> tf.Tensor:
        """Returns the logits of normalised features."""
        hyperparameters = Hyperparameters.unpack(slot.hyperparameters)
        return compute_logits(
            slot.kind, slot.weights, hyperparameters, features
        )

    def _judge_kind(
        self,
        kind: Kind,
        weights: Sequence[tf.Variable],
        hyperparameters: tf.Tensor,
        features: tf.Tensor,
        labels: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        logits = compute_logits(
            kind,
            weights,
            Hyperparameters.unpack(hyperparameters),
            features,
        )
        losses, is_right = judge_logits(logits, labels)
        return losses, tf.math.count_nonzero(is_right)

    def _run_kind(
        self,
        kind: Kind,
        weights: Sequence[tf.Variable],
        moments: Sequence[tf.Variable],
        hyperparameters: tf.Tensor,
        is_mixed: tf.Tensor,
        features: tf.Tensor,
        labels: tf.Tensor,
        image_weights: tf.Tensor,
        drawn: Sequence[tf.Tensor],
        plan: tf.Tensor,
        num_steps: tf.Tensor,
    ) -> tf.Tensor:
        # All batches at once where it is small: an operation that is run for
        # each takes longer to start than to do.
        constants = Hyperparameters.unpack(hyperparameters)
        shares = StepPlan(*tf.unstack(plan, axis=1)).share
        own = tf.one_hot(labels, self._num_classes)
        wanted = mix(own[:, :-1], own[:, 1:], shares[:, tf.newaxis, tf.newaxis])
        smoothing = constants.smoothing
        wanted = wanted * (1 - smoothing) + smoothing / self._num_classes
        num_images = tf.reduce_sum(image_weights, axis=1, keepdims=True)
        error_weights = (image_weights / num_images)[:, :, tf.newaxis]
        # Of the images with the larger share, in a batch and its next images.
        first_rows = tf.cast(shares < 0.5, tf.int32)[:, tf.newaxis]
        first_rows = tf.pad(first_rows, [[0, 0], [0, 1]])
        batch_size = image_weights.shape[1]

        def take_next(
            number: tf.Tensor, loss: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            # Indexing takes half a dozen operations for each, and this one.
            begin = tf.reshape(number, [1])
            take = functools.partial(
                tf.raw_ops.StridedSlice,
                begin=begin,
                end=begin + 1,
                strides=[1],
                shrink_axis_mask=1,
            )
            step_plan = StepPlan(*tf.unstack(take(input=plan)))
            x = take(input=features)
            x = tf.cond(
                is_mixed,
                lambda: _mix_images(
                    x, take(input=first_rows), step_plan.ratio, batch_size
                ),
                lambda: x[:batch_size],
            )
            return number + 1, loss + take_step(
                kind,
                weights,
                moments,
                constants,
                features=x,
                wanted=take(input=wanted),
                error_weights=take(input=error_weights),
                drawn=[take(input=of) for of in drawn],
                plan=step_plan,
            )

        _, loss = tf.while_loop(
            lambda number, _: number < num_steps,
            take_next,
            (tf.constant(0), tf.constant(0.0)),
            parallel_iterations=1,
        )
        return loss


# Without autograph, which takes longer to begin than a graph to be traced.
_compile = functools.partial(tf.function, autograph=False)


def _mix_images(
    features: tf.Tensor, first: tf.Tensor, ratio: tf.Tensor, batch_size: int
) -> tf.Tensor:
    """Mixes each row with the next one, all but for a factor.

    Rows that follow each other are there without a copy.

    Args:
        features: `(batch_size + 1, feature_dim)`.
        first: Of the rows with the larger share: `(0, 0)`, or `(1, 0)` where
            those are the next ones.
        ratio: Of the smaller share to the larger one, which is the factor.
        batch_size: Rows of the mixture.
    """
    size = [batch_size, -1]
    larger = tf.slice(features, first, size)
    smaller = tf.slice(features, [1, 0] - first, size)
    return larger + ratio * smaller
