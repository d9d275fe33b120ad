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
import itertools
import math
import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Executor
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
from typing import get_args

from embed.devices import num_cpu_threads
from embed.devices import seed_everything
from embed.rows import Rows
from embed.stream import RowStream
from head.model import create_normalizer
from head.spec import Normalization
from head.training.feed import Chunk
from head.training.feed import feed_chunks
from head.training.feed import shape_of
from tune.batches import count_batches
from tune.batches import divide
from tune.preparation import Normalizer
from tune.preparation import Preparation
from tune.scoring import Scoring
from tune.slot import Slot
from tune.slot import SlotFactory
from tune.steps import Steps
from tune.submission import submit_steps
from tune.task import OnEnd
from tune.task import Outcome
from tune.task import Task

Work = dict[int, list[Future[float]]]


class VectorizedTrainer:
    """Trains heads of one seed on the same rows.

    Args:
        train: Rows to fit on, all views.
        val: Rows to score by, view 0.
        num_classes: Number of classes.
        seed: Of weights, order, views, mixtures and dropout.
        steps: The graphs of another trainer for as many classes, to share.
    """

    def __init__(
        self,
        *,
        train: Rows | RowStream,
        val: Rows | RowStream,
        num_classes: int,
        seed: int,
        steps: Steps | None = None,
    ) -> None:
        self._train_rows = train
        self._seed = seed
        self._num_images, num_views, self._feature_dim = shape_of(train)
        normalizers: dict[Normalization, Normalizer] = {
            name: create_normalizer(name, train)
            for name in get_args(Normalization)
        }
        self._preparation = Preparation(normalizers, num_views)
        self._steps = steps or Steps(num_classes)
        self._scoring = Scoring(val, normalizers, self._steps)
        # A stream's memory limit has room for one chunk in use.
        self._is_streamed = isinstance(train, RowStream)
        self._clock = 0.0
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
        self._clock = time.monotonic()
        groups: dict[tuple[int, int], dict[int, Task]] = {}
        for place, task in enumerate(tasks):
            same = task.spec.batch_size, task.first_epoch
            groups.setdefault(same, {})[place] = task
        with ThreadPoolExecutor(num_cpu_threads()) as pool:
            trainings = [
                self._train_group(group, *same, on_end, pool)
                for same, group in groups.items()
            ]
            if self._is_streamed:  # No room for the rows of several.
                trainings = [itertools.chain.from_iterable(trainings)]
            # Two groups in turn keep all cores busy where one has few heads.
            while trainings:
                trainings = [t for t in trainings if next(t, None) is not None]

    def _train_group(
        self,
        tasks: Mapping[int, Task],
        batch_size: int,
        first_epoch: int,
        on_end: OnEnd,
        pool: Executor,
    ) -> Iterator[int]:
        """Trains heads side by side until the last one has ended.

        Yields:
            The number of each epoch that has ended.
        """
        num_batches = self._count_batches(batch_size)
        slots = {
            place: self._factory.create(
                task.spec, task.state, num_batches=num_batches
            )
            for place, task in tasks.items()
        }
        epochs = range(first_epoch, max(s.spec.epochs for s in slots.values()))
        chunks = feed_chunks(
            self._train_rows,
            None,
            epochs=epochs,
            batch_size=batch_size,
            seed=self._seed,
        )
        # The next epoch is there before the last head has done with this one.
        ahead: tuple[int, Work] | None = None
        in_flight: list[Future[float]] = []
        with contextlib.closing(chunks):
            for epoch in (*epochs, None):
                work = None
                if epoch is not None:
                    work = self._submit_epoch(
                        _going_on(slots, epoch),
                        iter(chunks.__next__, None),
                        batch_size,
                        epoch,
                        in_flight,
                        pool,
                    )
                if ahead is not None:
                    self._end_epoch(slots, *ahead, on_end, pool)
                    yield ahead[0]
                if not slots:  # Those that were left may have diverged.
                    return
                if epoch is not None and work is not None:
                    ahead = epoch, work

    def _submit_epoch(
        self,
        slots: Mapping[int, Slot],
        chunks: Iterator[Chunk],
        batch_size: int,
        epoch: int,
        in_flight: list[Future[float]],
        pool: Executor,
    ) -> Work:
        """Has the steps of an epoch taken by every head.

        Args:
            slots: By place the heads.
            chunks: Of the epoch.
            batch_size: Of all of them.
            epoch: From 0.
            in_flight: What was submitted last; changed.
            pool: Where they are taken.

        Returns:
            By place of a head what will be the losses of its pieces.
        """
        step = epoch * self._count_batches(batch_size)
        work: Work = {place: [] for place in slots}
        for chunk in chunks:
            for batches in divide(
                chunk,
                batch_size=batch_size,
                first_step=step,
                num_batches=count_batches(
                    self._num_images, batch_size, self._feature_dim
                ),
            ):
                submitted = submit_steps(
                    slots, batches, self._preparation, self._steps, pool
                )
                for place, loss in submitted.items():
                    work[place].append(loss)
                wait(submitted.values() if self._is_streamed else in_flight)
                in_flight[:] = submitted.values()
                step += batches.num_steps
            del chunk  # Once the next is asked for, another one is read.
        return work

    def _end_epoch(
        self,
        slots: dict[int, Slot],
        epoch: int,
        work: Work,
        on_end: OnEnd,
        pool: Executor,
    ) -> None:
        """Waits for the end of an epoch, and ends what ends with it."""
        losses = {
            place: sum(future.result() for future in futures)
            for place, futures in work.items()
            if place in slots  # And did not diverge before.
        }
        ended = {
            place: slots[place]
            for place, loss in losses.items()
            if slots[place].spec.epochs == epoch + 1 or not math.isfinite(loss)
        }
        now = time.monotonic()
        for place in losses:
            slots[place].seconds += (now - self._clock) / len(losses)
        self._clock = now
        for place, outcome in self._judge(ended, losses, epoch, pool).items():
            slot = slots.pop(place)
            timed = dataclasses.replace(outcome, seconds=slot.seconds)
            on_end(place, timed, slot.state)

    def _judge(
        self,
        slots: Mapping[int, Slot],
        losses: Mapping[int, float],
        epoch: int,
        pool: Executor,
    ) -> dict[int, Outcome]:
        """Scores heads whose training has ended."""
        sound = {p: s for p, s in slots.items() if math.isfinite(losses[p])}
        scores = dict(
            zip(
                sound,
                self._scoring.score(list(sound.values()), pool),
                strict=True,
            )
        )
        outcomes = {}
        for place, slot in slots.items():
            accuracy, loss = scores.get(place, (None, losses[place]))
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


def _going_on(slots: Mapping[int, Slot], epoch: int) -> dict[int, Slot]:
    """Returns the heads that train in an epoch."""
    return {p: slot for p, slot in slots.items() if epoch < slot.spec.epochs}
