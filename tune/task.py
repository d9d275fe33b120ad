"""A head to train, and how its training ended."""

import dataclasses
from collections.abc import Callable

from head.spec import HeadSpec
from tune.slot import Arrays


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


# Called with the place of a task among others, how its training ended, and the
# state it is in.
OnEnd = Callable[[int, Outcome, Arrays], None]
