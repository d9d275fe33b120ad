"""Trains and scores heads on several folds, one fold after the other."""

import dataclasses
from collections.abc import Sequence

from tune.slot import Arrays
from tune.task import OnEnd
from tune.task import Outcome
from tune.task import Task
from tune.vectorized import VectorizedTrainer

# So that a kill costs no more: none is finished before its last fold. Four at
# a time take a sixth longer.
HEADS_AT_ONCE = 8


class FoldedTrainer:
    """Trains each head on every fold; its score is that of all images.

    Args:
        trainers: One a fold.
        num_images: Validation images of each fold.
    """

    def __init__(
        self, trainers: Sequence[VectorizedTrainer], num_images: Sequence[int]
    ) -> None:
        self._trainers, self._num_images = trainers, num_images

    def train(self, tasks: Sequence[Task], on_end: OnEnd) -> None:
        """Trains heads.

        Args:
            tasks: What to train. Their states are those of all folds.
            on_end: Called with the place of a task in `tasks`, how its
                trainings ended and the states they are in, when all have.

        Raises:
            PipelineError: If a stream's memory limit has no room for a batch.
        """
        # Those of as many epochs together, so that none is left alone long.
        order = sorted(range(len(tasks)), key=lambda p: -tasks[p].spec.epochs)
        for start in range(0, len(order), HEADS_AT_ONCE):
            self._train_some(
                tasks, order[start : start + HEADS_AT_ONCE], on_end
            )

    def _train_some(
        self, tasks: Sequence[Task], places: Sequence[int], on_end: OnEnd
    ) -> None:
        """Trains the heads of some places, on one fold after the other."""
        scores = {place: _Scores() for place in places}
        for number, trainer in enumerate(self._trainers):
            sound = [p for p, score in scores.items() if not score.message]

            def add(
                index: int,
                outcome: Outcome,
                state: Arrays,
                places: Sequence[int] = sound,
                num_images: int = self._num_images[number],
            ) -> None:
                scores[places[index]].add(outcome, state, num_images)

            trainer.train(
                [self._of_fold(tasks[place], number) for place in sound], add
            )
        for place, score in scores.items():
            on_end(place, score.outcome(), score.states)

    def _of_fold(self, task: Task, number: int) -> Task:
        """Returns a task with the state of one fold."""
        if task.state is None:
            return task
        size = len(task.state) // len(self._trainers)
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
