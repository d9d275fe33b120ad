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
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Executor
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

from embed.devices import num_cpu_threads
from embed.devices import seed_everything
from embed.rows import Rows
from embed.stream import RowStream
from head.feed import Chunk
from head.feed import feed_chunks
from head.feed import shape_of
from head.model import create_normalizer
from head.spec import HeadSpec
from head.spec import Normalization
from tune.batches import Batches
from tune.batches import Normalizer
from tune.batches import count_batches
from tune.batches import create_gather
from tune.batches import divide
from tune.scoring import Scoring
from tune.slot import Arrays
from tune.slot import Slot
from tune.slot import SlotFactory
from tune.steps import Steps


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

    val_accuracy: float | None = None
    val_loss: float | None = None
    seconds: float = 0.0
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Task:
    """A head to train.

    Args:
        spec: What and how.
        first_epoch: Where to go on, counted from 0; 0 for the beginning.
        state: What a training up to there left; `None` at the beginning.
    """

    spec: HeadSpec
    first_epoch: int = 0
    state: Arrays | None = None


OnEnd = Callable[[int, Outcome, Arrays], None]


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
        self._train_rows = train
        self._seed = seed
        self._num_images, num_views, self._feature_dim = shape_of(train)
        normalizers: dict[Normalization, Normalizer] = {
            name: create_normalizer(name, train)
            for name in get_args(Normalization)
        }
        self._gather = {
            (is_mixed, name): create_gather(
                normalizer, is_mixed=is_mixed, num_views=num_views
            )
            for name, normalizer in normalizers.items()
            for is_mixed in (False, True)
        }
        self._steps = Steps(num_classes)
        self._scoring = Scoring(val, normalizers, self._steps)
        self._factory = SlotFactory(train, num_classes, seed)

    def train(self, tasks: Sequence[Task], on_end: OnEnd) -> None:
        """Trains heads, all that take the same batches at once.

        Args:
            tasks: What to train.
            on_end: Called with the place of a task in `tasks`, how its
                training ended and the state it is in, as soon as it has.

        Raises:
            PipelineError: If a stream's memory limit has no room for a batch.
        """
        seed_everything(self._seed)
        groups: dict[tuple[int, int], dict[int, Task]] = {}
        for place, task in enumerate(tasks):
            same = task.spec.batch_size, task.first_epoch
            groups.setdefault(same, {})[place] = task
        with ThreadPoolExecutor(num_cpu_threads()) as pool:
            for (batch_size, first_epoch), group in groups.items():
                slots = {
                    place: self._factory.create(
                        task.spec,
                        task.state,
                        num_batches=self._count_batches(batch_size),
                    )
                    for place, task in group.items()
                }
                self._train_group(slots, batch_size, first_epoch, on_end, pool)

    def _train_group(
        self,
        slots: dict[int, Slot],
        batch_size: int,
        first_epoch: int,
        on_end: OnEnd,
        pool: Executor,
    ) -> None:
        """Trains heads side by side until the last one has ended."""
        epochs = range(first_epoch, max(s.spec.epochs for s in slots.values()))
        chunks = feed_chunks(
            self._train_rows,
            None,
            epochs=epochs,
            batch_size=batch_size,
            seed=self._seed,
        )
        with contextlib.closing(chunks):
            for epoch in epochs:
                began = time.monotonic()
                self._run_epoch(
                    list(slots.values()),
                    iter(chunks.__next__, None),
                    batch_size,
                    epoch,
                    pool,
                )
                ended = {
                    place: slot
                    for place, slot in slots.items()
                    if slot.spec.epochs == epoch + 1 or not slot.is_sound
                }
                outcomes = self._judge(ended, epoch, pool)
                share = (time.monotonic() - began) / len(slots)
                for slot in slots.values():
                    slot.seconds += share
                for place, outcome in outcomes.items():
                    slot = slots.pop(place)
                    timed = dataclasses.replace(outcome, seconds=slot.seconds)
                    on_end(place, timed, slot.state)
                if not slots:  # Those that were left may have diverged.
                    return

    def _run_epoch(
        self,
        slots: Sequence[Slot],
        chunks: Iterator[Chunk],
        batch_size: int,
        epoch: int,
        pool: Executor,
    ) -> None:
        """Takes the steps of an epoch with every head."""
        num_batches = self._count_batches(batch_size)
        step = epoch * num_batches
        for slot in slots:
            slot.loss = 0.0
        for chunk in chunks:
            for batches in divide(
                chunk,
                batch_size=batch_size,
                first_step=step,
                num_batches=count_batches(
                    self._num_images, batch_size, self._feature_dim
                ),
            ):
                self._take_steps(slots, batches, pool)
                step += batches.num_steps
            del chunk  # Once the next is asked for, another one is read.

    def _judge(
        self, slots: Mapping[int, Slot], epoch: int, pool: Executor
    ) -> dict[int, Outcome]:
        """Scores heads whose training has ended."""
        sound = {place: s for place, s in slots.items() if s.is_sound}
        scores = dict(
            zip(
                sound,
                self._scoring.score(list(sound.values()), pool),
                strict=True,
            )
        )
        outcomes = {}
        for place, slot in slots.items():
            accuracy, loss = scores.get(place, (None, slot.loss))
            if math.isfinite(loss):
                outcomes[place] = Outcome(accuracy, loss)
            else:
                outcomes[place] = Outcome(
                    message=f"The training diverged in epoch {epoch + 1}. "
                    f"Expected: a finite loss. Received: loss={loss}. Lower "
                    f"the learning rate, which is {slot.spec.learning_rate}."
                )
        return outcomes

    def _count_batches(self, batch_size: int) -> int:
        """Returns the steps of an epoch."""
        return -(-self._num_images // batch_size)

    def _take_steps(
        self, slots: Sequence[Slot], batches: Batches, pool: Executor
    ) -> None:
        """Takes the steps of some batches with every head."""
        kinds = {_kind_of_features(slot.spec) for slot in slots}
        dropouts = {dropout for slot in slots for dropout in slot.dropouts}
        features = {
            kind: pool.submit(self._gather[kind], batches) for kind in kinds
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


def _kind_of_features(spec: HeadSpec) -> tuple[bool, Normalization]:
    """Returns whether views are mixed, and how features are normalised."""
    return spec.view_mixing, spec.normalization
