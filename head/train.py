"""Train a head: whole chunks of rows in one compiled graph.

Rows in memory are one chunk, and larger ones are streamed, to the same bits.

One view is drawn per image and epoch. Model, optimizer, loss and metrics are
Keras's own; only the loop is ours, since `Model.fit` spends more time between
steps than in them (7.1 s against 1.6 s for the reference recipe on 2 cores).
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from embed.devices import seed_everything
from embed.devices import use_one_thread
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

# A step of more weights is worth dividing among threads, where there are many.
MOST_WEIGHTS_OF_ONE_THREAD = 300_000

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


def prepare_threads(*, feature_dim: int, num_classes: int) -> None:
    """Has heads of a size trained in as many threads as they are worth.

    For commands: it holds for the process, and before TensorFlow computes. It
    depends on the cache alone, so that a search and the training of its
    winner, whatever its hidden layer, come to the same bits.

    Args:
        feature_dim: Number of features a vector.
        num_classes: Number of classes.
    """
    if feature_dim * num_classes <= MOST_WEIGHTS_OF_ONE_THREAD:
        use_one_thread()


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

        from head.dropout import draw_by_bytes

        self._model, self._spec, self._num_views = model, spec, num_views
        self._trained = draw_by_bytes(model)
        self._optimizer = _create_optimizer(spec)
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
        rows = tf.TensorSpec((None, model.input_shape[-1]), tf.float32), numbers
        compiled = functools.partial(
            tf.function,
            jit_compile=False,  # XLA is twice as slow here on a CPU.
        )
        self._run_chunk = compiled(
            self._fit_chunk,
            input_signature=[
                numbers,
                numbers,
                *rows,
                tf.TensorSpec((2,), tf.float32),
            ],
        )
        self._judge = compiled(self._judge_chunk, input_signature=[*rows])

    def fit(self, chunks: Iterator[Chunk]) -> dict[str, float]:
        """Takes a step for each batch; returns the metrics of all of them."""
        import tensorflow as tf

        num_images, sums = 0, tf.zeros(2)
        for chunk in chunks:
            num_images += len(chunk[0])
            sums = self._run_chunk(*chunk, sums)
            del chunk  # Once the next is asked for, another one is read.
        loss, num_right = sums.numpy().tolist()
        return {"loss": loss / num_images, "accuracy": num_right / num_images}

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
        sums: "tf.Tensor",
    ) -> "tf.Tensor":
        """Takes the steps of a chunk; adds to the sums of loss and of hits."""
        import tensorflow as tf

        batch_size = self._spec.batch_size
        num_images = tf.shape(order)[0]
        num_batches = -(-num_images // batch_size)
        # The last batch is filled up with rows of no weight, so that shapes
        # are known: half of the operations would be about them.
        padding = [[0, num_batches * batch_size - num_images]]
        rows = tf.pad(order * self._num_views + views, padding)
        targets = tf.pad(tf.gather(labels, order), padding)
        weights = tf.pad(tf.ones([num_images]), padding)
        for number in tf.range(num_batches):
            start = number * batch_size
            row, target, weight = (
                tf.ensure_shape(of[start : start + batch_size], [batch_size])
                for of in (rows, targets, weights)
            )
            sums += self._step(tf.gather(vectors, row), target, weight)
        return sums

    def _step(
        self, features: "tf.Tensor", targets: "tf.Tensor", weights: "tf.Tensor"
    ) -> "tf.Tensor":
        """Takes one; returns the sum of the losses and the number of hits."""
        import tensorflow as tf

        num_classes = self._model.output_shape[-1]
        with tf.GradientTape() as tape:
            logits = self._trained(features, training=True)
            losses = self._losses_of(tf.one_hot(targets, num_classes), logits)
            total = tf.reduce_sum(losses * weights)
            loss = total / tf.reduce_sum(weights)
        variables = self._trained.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        hits = self._hits_of(targets, logits) * weights
        return tf.stack([total, tf.reduce_sum(hits)])

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
