"""Trains many heads at once, on the same batches and the same draws.

All heads go through the data together. What they share is done once for all
of them (see `tune.batches`); what is left of a head's steps is done in one
thread, and as many threads as there are cores take the heads in turn. So a
head comes to the same bits whichever others are trained beside it, and all
cores have work. A stack of all kernels in one batched product was measured
too: what lies between the products leaves the processor's caches, so that it
takes 1.4 times as long on 2 cores, and hidden layers of several widths do not
fit into it without filling.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Executor
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import keras
import numpy as np

from embed.devices import num_cpu_threads
from embed.devices import seed_everything
from embed.rows import Rows
from embed.stream import RowStream
from head.feed import feed_chunks
from head.feed import feed_rows
from head.feed import shape_of
from head.model import build_head
from head.model import create_normalizer
from head.spec import HeadSpec
from head.spec import Normalization
from tune.batches import MOST_BATCHES
from tune.batches import Batches
from tune.batches import divide
from tune.slot import Slot
from tune.steps import Steps

PIECE_ROWS = 4096  # Validation rows that are normalised at a time.


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How the training of a head ended.

    Args:
        val_accuracy: Share of the validation images that are right after the
            last epoch; `None` where it diverged.
        val_loss: Their mean cross-entropy; `None` where it diverged.
        seconds: Its share of the time in which heads were trained together.
        message: Why it failed, or `""`.
    """

    val_accuracy: float | None
    val_loss: float | None
    seconds: float
    message: str = ""


@dataclasses.dataclass(frozen=True)
class _Beginning:
    """What heads of one structure have before they are trained."""

    weights: list[np.ndarray]
    dropouts: list[tuple[int, int]]


class VectorizedTrainer:
    """Trains heads of one seed on the same rows.

    Args:
        train: Rows to fit on, all views.
        val: Rows to score by, view 0.
        num_classes: Number of classes.
        seed: Of weights, order, views, mixtures and dropout.
    """

    def __init__(
        self,
        *,
        train: Rows | RowStream,
        val: Rows | RowStream,
        num_classes: int,
        seed: int,
    ) -> None:
        self._train_rows, self._val_rows = train, val
        self._num_classes, self._seed = num_classes, seed
        self._num_images, self._num_views, self._feature_dim = shape_of(train)
        self._normalizers = {
            name: create_normalizer(name, train)
            for name in get_args(Normalization)
        }
        self._steps = Steps(self._normalizers, num_classes)
        self._beginnings: dict[tuple[int, bool], _Beginning] = {}

    def train(
        self,
        specs: Sequence[HeadSpec],
        on_outcome: Callable[[int, Outcome], None],
    ) -> None:
        """Trains heads, those of one batch size at once.

        Args:
            specs: What to train.
            on_outcome: Called with the place of a spec in `specs` and how its
                training ended, as soon as it has.

        Raises:
            PipelineError: If a stream's memory limit has no room for a batch.
        """
        seed_everything(self._seed)
        with ThreadPoolExecutor(num_cpu_threads()) as pool:
            for batch_size in dict.fromkeys(spec.batch_size for spec in specs):
                group = {
                    place: spec
                    for place, spec in enumerate(specs)
                    if spec.batch_size == batch_size
                }
                self._train_group(group, batch_size, on_outcome, pool)

    def _train_group(
        self,
        group: Mapping[int, HeadSpec],
        batch_size: int,
        on_outcome: Callable[[int, Outcome], None],
        pool: Executor,
    ) -> None:
        """Trains heads side by side."""
        num_batches = -(-self._num_images // batch_size)  # An epoch.
        slots = {
            place: self._create_slot(spec, num_batches)
            for place, spec in group.items()
        }
        chunks = feed_chunks(
            self._train_rows,
            None,
            epochs=range(max(spec.epochs for spec in group.values())),
            batch_size=batch_size,
            seed=self._seed,
        )
        step = 0
        with contextlib.closing(chunks):
            for epoch in range(max(s.spec.epochs for s in slots.values())):
                began = time.monotonic()
                for slot in slots.values():
                    slot.loss = 0.0
                for chunk in iter(chunks.__next__, None):
                    for batches in divide(
                        chunk,
                        batch_size=batch_size,
                        num_views=self._num_views,
                        first_step=step,
                        num_batches=min(MOST_BATCHES, num_batches),
                    ):
                        self._take_steps(list(slots.values()), batches, pool)
                        step += batches.num_steps
                    del chunk
                ended = {
                    place: slot
                    for place, slot in slots.items()
                    if not math.isfinite(slot.loss)
                    or slot.spec.epochs == epoch + 1
                }
                outcomes = self._judge(ended, epoch, pool)
                share = (time.monotonic() - began) / len(slots)
                for slot in slots.values():
                    slot.seconds += share
                for place, slot in ended.items():
                    on_outcome(
                        place,
                        dataclasses.replace(
                            outcomes[place], seconds=slot.seconds
                        ),
                    )
                    del slots[place]
                if not slots:
                    return

    def _take_steps(
        self, slots: Sequence[Slot], batches: Batches, pool: Executor
    ) -> None:
        """Takes the steps of some batches with every head."""
        kinds = {_kind_of_features(slot.spec) for slot in slots}
        dropouts = {dropout for slot in slots for dropout in slot.dropouts}
        features = {
            kind: pool.submit(
                batches.gather,
                is_mixed=kind[0],
                normalizer=self._normalizers[kind[1]],
            )
            for kind in kinds
        }
        drawn = {
            dropout: pool.submit(batches.draw_bytes, *dropout)
            for dropout in dropouts
        }

        def take(slot: Slot) -> float:
            return self._steps.take(
                slot,
                batches,
                features[_kind_of_features(slot.spec)].result(),
                [drawn[dropout].result() for dropout in slot.dropouts],
            )

        # The largest first, so that no thread has one left when the other
        # ones have none.
        ordered = sorted(slots, key=lambda slot: -slot.num_weights)
        for slot, loss in zip(ordered, pool.map(take, ordered), strict=True):
            slot.loss += loss

    def _judge(
        self, slots: Mapping[int, Slot], epoch: int, pool: Executor
    ) -> dict[int, Outcome]:
        """Scores heads whose training has ended."""
        outcomes = {
            place: Outcome(
                None,
                None,
                0.0,
                f"The training diverged in epoch {epoch + 1}. Expected: a "
                f"finite loss. Received: loss={slot.loss}. Lower the learning "
                f"rate, which is {slot.spec.learning_rate}.",
            )
            for place, slot in slots.items()
            if not math.isfinite(slot.loss)
        }
        sound = {p: s for p, s in slots.items() if p not in outcomes}
        if not sound:
            return outcomes
        sums = dict.fromkeys(sound, np.zeros(2))
        for vectors, labels in self._read_val():
            features = {
                name: self._normalizers[name](vectors)
                for name in {s.spec.normalization for s in sound.values()}
            }
            judged = pool.map(
                lambda slot, features=features, labels=labels: (
                    self._steps.judge(
                        slot, features[slot.spec.normalization], labels
                    )
                ),
                sound.values(),
            )
            for place, found in zip(sound, judged, strict=True):
                sums[place] = sums[place] + found
        for place, slot in sound.items():
            loss, num_right = (sums[place] / len(self._val_rows)).tolist()
            outcomes[place] = Outcome(num_right, loss, 0.0)
            if not math.isfinite(loss):
                outcomes[place] = Outcome(
                    None,
                    None,
                    0.0,
                    "The training diverged. Expected: a finite validation "
                    f"loss. Received: {loss}. Lower the learning rate, which "
                    f"is {slot.spec.learning_rate}.",
                )
        return outcomes

    def _read_val(self):
        """Yields view 0 of validation rows and their labels, in pieces."""
        for vectors, labels in feed_rows(self._val_rows):
            for start in range(0, len(labels), PIECE_ROWS):
                stop = start + PIECE_ROWS
                yield (
                    vectors[
                        start * self._num_views : stop * self._num_views : (
                            self._num_views
                        )
                    ],
                    labels[start:stop],
                )

    def _create_slot(self, spec: HeadSpec, num_batches: int) -> Slot:
        """Returns a head that is to be trained."""
        structure = spec.hidden_units, spec.temperature is not None
        if structure not in self._beginnings:
            self._beginnings[structure] = self._build(spec)
        beginning = self._beginnings[structure]
        return Slot(
            spec,
            beginning.weights,
            beginning.dropouts,
            num_batches=num_batches,
            seed=self._seed,
        )

    def _build(self, spec: HeadSpec) -> _Beginning:
        """Looks up what Keras would begin with."""
        model = build_head(
            spec.model_copy(update={"normalization": "none"}),
            train=self._train_rows,
            num_classes=self._num_classes,
            seed=self._seed,
        )
        dropouts = [
            (layer.seed, layer.output.shape[-1])
            for layer in model.layers
            if isinstance(layer, keras.layers.Dropout)
        ]
        return _Beginning(
            [variable.numpy() for variable in model.trainable_variables],
            dropouts,
        )


def _kind_of_features(spec: HeadSpec) -> tuple[bool, Normalization]:
    """Returns whether views are mixed, and what is done to features first.

    Where images are mixed nothing is, for they are normalised afterwards.
    """
    return spec.view_mixing, "none" if spec.mixup else spec.normalization
