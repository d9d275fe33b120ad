"""The compiled loop over the batches of a training, and its state."""

import functools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from head.model import NORMALIZED
from head.spec import HeadSpec
from head.training.draws import draw_shares_of_images
from head.training.dropout import draw_by_bytes
from head.training.feed import Chunk
from head.training.mixing import gather_views
from head.training.mixing import mix
from head.training.mixing import partners_of
from head.training.schedule import ListedRates
from head.training.schedule import learning_rates


class Trainer:
    """One training: takes the steps of its chunks, and judges.

    Args:
        model: What is trained.
        spec: How.
        shape: Of the training rows; validation rows have as many views.
        seed: Of mixtures.
    """

    def __init__(
        self,
        model: keras.Model,
        spec: HeadSpec,
        shape: tuple[int, ...],
        seed: int,
    ) -> None:
        num_images, self._num_views, _ = shape
        self._num_batches = -(-num_images // spec.batch_size)  # An epoch.
        self._model, self._spec, self._seed = model, spec, seed
        normalized = model.get_layer(NORMALIZED).output
        self._normalize = keras.Model(model.input, normalized)
        self._trained = draw_by_bytes(keras.Model(normalized, model.output))
        self._optimizer = _create_optimizer(spec, self._num_batches)
        self._optimizer.build(self._trained.trainable_variables)
        self._losses_of = keras.losses.CategoricalCrossentropy(
            from_logits=True,
            label_smoothing=spec.label_smoothing,
            reduction="none",
        )
        self._hits_of = keras.metrics.sparse_categorical_accuracy
        # Rows are arguments of the graph and not constants in it: TensorFlow
        # keeps the graphs of while loops for ever, and with them what they
        # hold. Their number is left open, so that a graph is traced once.
        numbers = tf.TensorSpec((None,), tf.int32)
        shares = tf.TensorSpec((None,), tf.float32)
        rows = tf.TensorSpec((None, model.input_shape[-1]), tf.float32), numbers
        compiled = functools.partial(
            tf.function,
            jit_compile=False,  # XLA is twice as slow here on a CPU.
        )
        self._run_chunk = compiled(
            self._fit_chunk,
            input_signature=[
                *(numbers, numbers, shares),
                *rows,
                shares,
                tf.TensorSpec((2,), tf.float32),
            ],
        )
        self._judge = compiled(self._judge_chunk, input_signature=[*rows])

    def fit(self, chunks: Iterator[Chunk], epoch: int) -> dict[str, float]:
        """Takes a step for each batch; returns the metrics of all of them."""
        mixup = draw_shares_of_images(
            self._spec.mixup, self._num_batches, seed=self._seed, epoch=epoch
        )
        num_images, sums = 0, tf.zeros(2)
        for chunk in chunks:
            # All chunks but the last are whole batches.
            of_chunk = mixup[num_images // self._spec.batch_size :]
            num_images += len(chunk[0])
            sums = self._run_chunk(*chunk, tf.constant(of_chunk), sums)
            del chunk  # Once the next is asked for, another one is read.
        loss, num_right = sums.numpy().tolist()
        return {"loss": loss / num_images, "accuracy": num_right / num_images}

    def validate(self, chunks: Iterator[Chunk]) -> dict[str, float]:
        """Returns cross-entropy and accuracy on view 0 of validation rows.

        Labels are not smoothed, so that heads can be compared by their loss.
        """
        judged = []
        for chunk in chunks:
            judged.append(self._judge(*chunk))
            del chunk
        losses, is_right = (
            tf.concat(of, 0) for of in zip(*judged, strict=True)
        )
        return {
            "val_loss": float(tf.reduce_mean(losses)),
            "val_accuracy": float(tf.reduce_mean(is_right)),
        }

    def _fit_chunk(
        self,
        order: tf.Tensor,
        views: tf.Tensor,
        shares: tf.Tensor,
        vectors: tf.Tensor,
        labels: tf.Tensor,
        mixup: tf.Tensor,
        sums: tf.Tensor,
    ) -> tf.Tensor:
        """Takes the steps of a chunk; adds to the sums of loss and of hits."""
        batch_size = self._spec.batch_size
        num_images = tf.shape(order)[0]
        num_batches = -(-num_images // batch_size)
        # The last batch is filled up with rows of no weight, so that shapes
        # are known: half of the operations would be about them.
        padding = [[0, num_batches * batch_size - num_images]]
        weights = tf.ones([num_images])
        columns = [
            tf.pad(of, padding)
            for of in (order, views, shares, tf.gather(labels, order), weights)
        ]
        for number in tf.range(num_batches):
            start = number * batch_size
            places, view, share, target, weight = (
                tf.ensure_shape(of[start : start + batch_size], [batch_size])
                for of in columns
            )
            features = gather_views(
                vectors,
                places,
                view,
                share if self._spec.view_mixing else None,
                self._num_views,
            )
            sums += self._step(features, target, weight, mixup[number])
        return sums

    def _step(
        self,
        features: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        share: tf.Tensor,
    ) -> tf.Tensor:
        """Takes one; returns the sum of the losses and the number of hits."""
        num_classes = self._model.output_shape[-1]
        features = self._normalize(features)
        wanted = tf.one_hot(targets, num_classes)
        num_images = tf.reduce_sum(weights)
        if self._spec.mixup:
            partners = partners_of(
                tf.cast(num_images, tf.int32), self._spec.batch_size
            )
            features, wanted = (
                mix(of, tf.gather(of, partners), share)
                for of in (features, wanted)
            )
        with tf.GradientTape() as tape:
            logits = self._trained(features, training=True)
            losses = self._losses_of(wanted, logits)
            total = tf.reduce_sum(losses * weights)
            loss = total / num_images
        variables = self._trained.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        hits = self._hits_of(targets, logits) * weights
        return tf.stack([total, tf.reduce_sum(hits)])

    def _judge_chunk(
        self, vectors: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the loss of each row, and 1 where the answer is right."""
        logits = self._model(vectors[:: self._num_views], training=False)
        losses, is_right = judge_logits(logits, labels)
        return losses, tf.cast(is_right, tf.float32)


def judge_logits(
    logits: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the cross-entropy of each row, and whether it is right."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    is_right = tf.argmax(logits, -1, output_type=labels.dtype) == labels
    return losses, is_right


def _create_optimizer(spec: HeadSpec, num_batches: int) -> keras.Optimizer:
    rate: Any = spec.learning_rate
    if spec.schedule != "constant" or spec.warmup_epochs:
        rate = ListedRates(learning_rates(spec, num_batches))
    if not spec.weight_decay:
        return keras.optimizers.Adam(rate)
    return keras.optimizers.AdamW(rate, weight_decay=spec.weight_decay)
