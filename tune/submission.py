"""The steps of some batches, submitted for every head that takes them."""

from collections.abc import Mapping
from concurrent.futures import Executor
from concurrent.futures import Future

import tensorflow as tf

from tune.batches import Batches
from tune.preparation import Preparation
from tune.preparation import Wanted
from tune.preparation import wanted_by
from tune.slot import Slot
from tune.steps import Steps


def submit_steps(
    slots: Mapping[int, Slot],
    batches: Batches,
    preparation: Preparation,
    steps: Steps,
    pool: Executor,
) -> dict[int, Future[float]]:
    """Has the steps of some batches taken by every head.

    Heads that want the same features follow each other, and those of the next
    ones are gathered meanwhile: few are in memory at a time.

    Args:
        slots: The heads by place; each is left what it takes last.
        batches: What was drawn.
        preparation: Gathers their features.
        steps: The graphs.
        pool: Where it is done.

    Returns:
        By place what will be the sum of the losses.
    """
    drawn = {
        dropout: pool.submit(batches.draw_bytes, *dropout)
        for dropout in {d for slot in slots.values() for d in slot.dropouts}
    }

    def take(
        slot: Slot, features: Future[tf.Tensor], before: Future[float] | None
    ) -> float:
        if before is not None:
            before.result()  # Which was begun before this.
        return steps.take(
            slot,
            batches,
            features.result(),
            [drawn[dropout].result() for dropout in slot.dropouts],
        )

    groups = _group_by_features(slots)
    gathered: list[Future[tf.Tensor]] = []
    losses = {}
    for number, (_, places) in enumerate(groups):
        for wanted, _ in groups[len(gathered) : number + 2]:  # And the next.
            gathered.append(pool.submit(preparation.gather, batches, wanted))
        for place in places:
            slot = slots[place]
            slot.last = pool.submit(take, slot, gathered[number], slot.last)
            losses[place] = slot.last
    return losses


def _group_by_features(
    slots: Mapping[int, Slot],
) -> list[tuple[Wanted, list[int]]]:
    """Returns the places of heads by the features they want.

    The largest first, so that no thread has one left when the other ones have
    none.
    """
    groups: dict[Wanted, list[int]] = {}
    for place in sorted(slots, key=lambda place: -slots[place].num_weights):
        groups.setdefault(wanted_by(slots[place]), []).append(place)
    return list(groups.items())
