"""Trains and scores heads on several folds, one fold after the other."""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence

from embed.rows import Rows
from embed.stream import RowStream
from tune.slot import Arrays
from tune.vectorized import OnEnd
from tune.vectorized import Outcome
from tune.vectorized import Task
from tune.vectorized import VectorizedTrainer

# Returns the rows to train on and those to score by.
ReadFold = Callable[[], tuple[Rows | RowStream, Rows | RowStream]]


class FoldedTrainer:
    """Trains each head on every fold; its score is that of all images.

    The rows of one fold are held at a time.

    Args:
        folds: What reads the rows of each fold.
        num_classes: Number of classes.
        seed: Of every training.
    """

    def __init__(
        self, folds: Sequence[ReadFold], *, num_classes: int, seed: int
    ) -> None:
        self._folds = folds
        self._num_classes, self._seed = num_classes, seed

    def train(self, tasks: Sequence[Task], on_end: OnEnd) -> None:
        """Trains heads.

        Args:
            tasks: What to train. Their states are those of all folds.
            on_end: Called with the place of a task in `tasks`, how its
                trainings ended and the states they are in, when all have.

        Raises:
            PipelineError: If a stream's memory limit has no room for a batch.
        """
        scores = [_Scores() for _ in tasks]
        for number, read in enumerate(self._folds):
            train, val = read()
            trainer = VectorizedTrainer(
                train=train,
                val=val,
                num_classes=self._num_classes,
                seed=self._seed,
            )
            places = [p for p, score in enumerate(scores) if not score.message]

            def add(
                place: int,
                outcome: Outcome,
                state: Arrays,
                places: Sequence[int] = places,
                num_images: int = len(val),
            ) -> None:
                scores[places[place]].add(outcome, state, num_images)

            trainer.train(
                [self._of_fold(tasks[place], number) for place in places], add
            )
            del train, val, trainer  # Before the next fold is read.
        for place, score in enumerate(scores):
            on_end(place, score.outcome(), score.states)

    def _of_fold(self, task: Task, number: int) -> Task:
        """Returns a task with the state of one fold."""
        if task.state is None:
            return task
        size = len(task.state) // len(self._folds)
        state = task.state[number * size : (number + 1) * size]
        return dataclasses.replace(task, state=state)


@dataclasses.dataclass
class _Scores:
    """What came of a head on the folds so far."""

    num_images: int = 0
    num_right: float = 0.0
    loss: float = 0.0
    seconds: float = 0.0
    message: str = ""
    states: Arrays = dataclasses.field(default_factory=list)

    def add(self, outcome: Outcome, state: Arrays, num_images: int) -> None:
        """Adds how the training on a fold ended."""
        self.seconds += outcome.seconds
        self.message = outcome.message
        if outcome.val_accuracy is not None and outcome.val_loss is not None:
            self.num_images += num_images
            self.num_right += num_images * outcome.val_accuracy
            self.loss += num_images * outcome.val_loss
            self.states += state

    def outcome(self) -> Outcome:
        """Returns the score over the images of all folds."""
        if self.message:
            return Outcome(seconds=self.seconds, message=self.message)
        return Outcome(
            val_accuracy=self.num_right / self.num_images,
            val_loss=self.loss / self.num_images,
            seconds=self.seconds,
        )
