"""Train a head: whole chunks of rows in one compiled graph.

Rows in memory are one chunk, and larger ones are streamed, to the same bits.

One view is drawn per image and epoch. Model, optimizer, loss and metrics are
Keras's own; only the loop is ours, since `Model.fit` spends more time between
steps than in them (7.1 s against 1.6 s for the reference recipe on 2 cores).
"""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from embed.devices import seed_everything
from embed.devices import use_threads
from embed.errors import PipelineError
from embed.rows import Rows
from embed.stream import RowStream
from head.model import build_head
from head.spec import HeadSpec
from head.training.feed import feed_chunks
from head.training.feed import shape_of

if TYPE_CHECKING:
    import keras

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
    depends on the cache alone, so that a search, which has one thread a head,
    and the training of its winner, whatever its hidden layer, come to the same
    bits. With more features and classes their last digits may differ.

    Args:
        feature_dim: Number of features a vector.
        num_classes: Number of classes.
    """
    if feature_dim * num_classes <= MOST_WEIGHTS_OF_ONE_THREAD:
        use_threads(1)


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
    from head.training.trainer import Trainer

    if spec.others:
        raise ValueError(
            "train_head trains one head. Received: a spec with "
            f"{len(spec.others)} others. Train each of `spec.members`."
        )
    seed_everything(seed)
    model = build_head(spec, train=train, num_classes=num_classes, seed=seed)
    trainer = Trainer(model, spec, shape_of(train), seed)
    history: History = {}
    chunks = feed_chunks(
        train,
        val,
        epochs=range(spec.epochs),
        batch_size=spec.batch_size,
        seed=seed,
    )
    with contextlib.closing(chunks):
        for epoch in range(spec.epochs):
            metrics = trainer.fit(iter(chunks.__next__, None), epoch)
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
