"""Train a head: whole epochs in one compiled graph, on features in memory.

One view is drawn per image and epoch. Model, optimizer, loss and metrics are
Keras's own; only the loop is ours, since `Model.fit` spends more time between
steps than in them (8.9 s against 2.4 s for the reference recipe).
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.devices import seed_everything
from embed.errors import PipelineError
from embed.rows import Rows
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
    train: Rows,
    val: Rows | None,
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
            machine gives the same bits.
        on_epoch: Called after each epoch with its metrics.

    Raises:
        DivergedError: If the loss became infinite or no number.
    """
    seed_everything(seed)
    model = build_head(
        spec,
        train_features=train.features,
        num_classes=num_classes,
        seed=seed,
    )
    run_epoch = _compile_epoch(model, spec, train, val, seed)
    history: History = {}
    for epoch in range(spec.epochs):
        metrics = {name: float(v) for name, v in run_epoch(epoch).items()}
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


def _compile_epoch(
    model: "keras.Model",
    spec: HeadSpec,
    train: Rows,
    val: Rows | None,
    seed: int,
) -> Callable[[int], dict[str, Any]]:
    """Returns a function that runs an epoch and answers its metrics."""
    import keras
    import tensorflow as tf

    num_images, num_views, feature_dim = train.features.shape
    num_classes = model.output_shape[-1]
    num_steps = -(-num_images // spec.batch_size)
    # Arguments of the graph and not constants in it: TensorFlow keeps the
    # graphs of while loops for ever, and with them what they hold.
    rows = [train.features.reshape(-1, feature_dim), train.labels]
    if val is not None:
        rows += [val.features[:, 0], val.labels]
    tensors = [tf.constant(array) for array in rows]
    optimizer = _create_optimizer(spec)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=spec.label_smoothing
    )
    loss_mean = keras.metrics.Mean()
    accuracy = keras.metrics.SparseCategoricalAccuracy()

    def step(features: "tf.Tensor", targets: "tf.Tensor") -> None:
        with tf.GradientTape() as tape:
            logits = model(features, training=True)
            loss = loss_of(tf.one_hot(targets, num_classes), logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        loss_mean.update_state(loss, sample_weight=tf.shape(targets)[0])
        accuracy.update_state(targets, logits)

    @tf.function(jit_compile=False)  # XLA is 8 times slower here on a CPU.
    def run_epoch(
        epoch: "tf.Tensor",
        vectors: "tf.Tensor",
        labels: "tf.Tensor",
        *val_rows: "tf.Tensor",
    ) -> dict[str, Any]:
        loss_mean.reset_state()
        accuracy.reset_state()
        order = tf.random.experimental.stateless_shuffle(
            tf.range(num_images), seed=tf.stack([seed, 2 * epoch])
        )
        views = tf.random.stateless_uniform(
            [num_images],
            seed=tf.stack([seed, 2 * epoch + 1]),
            maxval=num_views,
            dtype=tf.int32,
        )
        for number in tf.range(num_steps):
            start = number * spec.batch_size
            stop = tf.minimum(start + spec.batch_size, num_images)
            images = order[start:stop]
            row = images * num_views + views[start:stop]
            step(tf.gather(vectors, row), tf.gather(labels, images))
        metrics = {
            "loss": loss_mean.result(),
            "accuracy": accuracy.result(),
        }
        if val_rows:
            metrics |= _validate(model, *val_rows)
        return metrics

    return lambda epoch: run_epoch(tf.constant(epoch), *tensors)


def _validate(
    model: "keras.Model", features: "tf.Tensor", labels: "tf.Tensor"
) -> dict[str, Any]:
    """Returns cross-entropy and accuracy on view 0 of the validation rows.

    Labels are not smoothed, so that heads can be compared by their loss.
    """
    import tensorflow as tf

    logits = model(features, training=False)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    is_right = tf.argmax(logits, -1, output_type=labels.dtype) == labels
    return {
        "val_loss": tf.reduce_mean(losses),
        "val_accuracy": tf.reduce_mean(tf.cast(is_right, tf.float32)),
    }


def _create_optimizer(spec: HeadSpec) -> "keras.Optimizer":
    import keras

    if not spec.weight_decay:
        return keras.optimizers.Adam(spec.learning_rate)
    return keras.optimizers.AdamW(
        spec.learning_rate, weight_decay=spec.weight_decay
    )
