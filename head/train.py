"""Train a head: whole chunks of rows in one compiled graph.

Rows in memory are one chunk, and larger ones are streamed, to the same bits.

One view is drawn per image and epoch. Model, optimizer, loss and metrics are
Keras's own; only the loop is ours, since `Model.fit` spends more time between
steps than in them (8.9 s against 2.4 s for the reference recipe).
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from embed.devices import seed_everything
from embed.errors import PipelineError
from embed.rows import Rows
from embed.stream import RowStream
from head.feed import Chunk
from head.feed import feed_chunks
from head.feed import shape_of
from head.model import build_head
from head.spec import HeadSpec

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

History = dict[str, list[float]]
OnEpoch = Callable[[dict[str, float]], None]


class DivergedError(PipelineError, ArithmeticError):
    """The loss of a training became infinite or no number."""


@dataclasses.dataclass(frozen=True)
class TrainedHead:
    """A head and how its training went.

    Args:
        model: Features `(batch, feature_dim)` to logits
            `(batch, num_classes)`.
        history: By metric one value an epoch: `loss` and `accuracy` on the
            training rows as they were drawn, `val_loss` and `val_accuracy`
            where there were validation rows.
    """

    model: "keras.Model"
    history: History


def train_head(
    spec: HeadSpec,
    *,
    train: Rows | RowStream,
    val: Rows | RowStream | None,
    num_classes: int,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> TrainedHead:
    """Trains a head for `spec.epochs` epochs.

    Args:
        spec: What to train and how.
        train: Rows to fit on, all views.
        val: Rows to watch, view 0; they choose nothing here.
        num_classes: Number of classes.
        seed: Of weights, order, views and dropout. The same seed on the same
            machine gives the same bits, from memory as from a stream.
        on_epoch: Called after each epoch with its metrics.

    Raises:
        DivergedError: If the loss became infinite or no number.
        PipelineError: If a stream's memory limit has no room for a batch.
    """
    seed_everything(seed)
    model = build_head(spec, train=train, num_classes=num_classes, seed=seed)
    num_views = shape_of(train)[1]
    trainer = _Trainer(model, spec, num_views)
    history: History = {}
    chunks = feed_chunks(
        train,
        val,
        epochs=spec.epochs,
        batch_size=spec.batch_size,
        seed=seed,
    )
    with contextlib.closing(chunks):
        for epoch in range(spec.epochs):
            metrics = trainer.fit(iter(chunks.__next__, None))
            if val is not None:
                metrics |= trainer.validate(iter(chunks.__next__, None))
            if not np.isfinite(metrics["loss"]):
                raise DivergedError(
                    f"The training diverged in epoch {epoch + 1}. Expected: a "
                    f"finite loss. Received: loss={metrics['loss']}. Lower the "
                    f"learning rate, which is {spec.learning_rate}."
                )
            for name, value in metrics.items():
                history.setdefault(name, []).append(value)
            if on_epoch is not None:
                on_epoch(metrics)
    return TrainedHead(model, history)


class _Trainer:
    """The compiled loop over the batches of a chunk, and its state.

    Args:
        model: What is trained.
        spec: How.
        num_views: Views of an image, in training as in validation rows.
    """

    def __init__(
        self, model: "keras.Model", spec: HeadSpec, num_views: int
    ) -> None:
        import keras
        import tensorflow as tf

        self._model, self._spec, self._num_views = model, spec, num_views
        self._optimizer = _create_optimizer(spec)
        self._optimizer.build(model.trainable_variables)
        self._loss_of = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=spec.label_smoothing
        )
        self._loss_mean = keras.metrics.Mean()
        self._accuracy = keras.metrics.SparseCategoricalAccuracy()
        # Rows are arguments of the graph and not constants in it: TensorFlow
        # keeps the graphs of while loops for ever, and with them what they
        # hold. Their number is left open, so that a graph is traced once.
        numbers = tf.TensorSpec((None,), tf.int32)
        rows = tf.TensorSpec((None, model.input_shape[-1]), tf.float32), numbers
        compiled = functools.partial(
            tf.function,
            jit_compile=False,  # XLA is 8 times slower here on a CPU.
        )
        self._run_chunk = compiled(
            self._fit_chunk, input_signature=[numbers, numbers, *rows]
        )
        self._judge = compiled(self._judge_chunk, input_signature=[*rows])

    def fit(self, chunks: Iterator[Chunk]) -> dict[str, float]:
        """Takes a step for each batch; returns the metrics of all of them."""
        self._loss_mean.reset_state()
        self._accuracy.reset_state()
        for chunk in chunks:
            self._run_chunk(*chunk)
            del chunk  # Once the next is asked for, another one is read.
        return {
            "loss": float(self._loss_mean.result()),
            "accuracy": float(self._accuracy.result()),
        }

    def validate(self, chunks: Iterator[Chunk]) -> dict[str, float]:
        """Returns cross-entropy and accuracy on view 0 of validation rows.

        Labels are not smoothed, so that heads can be compared by their loss.
        """
        import tensorflow as tf

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
        order: "tf.Tensor",
        views: "tf.Tensor",
        vectors: "tf.Tensor",
        labels: "tf.Tensor",
    ) -> None:
        import tensorflow as tf

        num_images, batch_size = tf.shape(order)[0], self._spec.batch_size
        for number in tf.range(-(-num_images // batch_size)):
            start = number * batch_size
            stop = tf.minimum(start + batch_size, num_images)
            images = order[start:stop]
            row = images * self._num_views + views[start:stop]
            self._step(tf.gather(vectors, row), tf.gather(labels, images))

    def _step(self, features: "tf.Tensor", targets: "tf.Tensor") -> None:
        import tensorflow as tf

        num_classes = self._model.output_shape[-1]
        with tf.GradientTape() as tape:
            logits = self._model(features, training=True)
            loss = self._loss_of(tf.one_hot(targets, num_classes), logits)
        variables = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        self._loss_mean.update_state(loss, sample_weight=tf.shape(targets)[0])
        self._accuracy.update_state(targets, logits)

    def _judge_chunk(
        self, vectors: "tf.Tensor", labels: "tf.Tensor"
    ) -> tuple["tf.Tensor", "tf.Tensor"]:
        """Returns the loss of each row, and 1 where the answer is right."""
        import tensorflow as tf

        logits = self._model(vectors[:: self._num_views], training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        is_right = tf.argmax(logits, -1, output_type=labels.dtype) == labels
        return losses, tf.cast(is_right, tf.float32)


def _create_optimizer(spec: HeadSpec) -> "keras.Optimizer":
    import keras

    if not spec.weight_decay:
        return keras.optimizers.Adam(spec.learning_rate)
    return keras.optimizers.AdamW(
        spec.learning_rate, weight_decay=spec.weight_decay
    )
