"""Runs the trials that an oracle proposes, several at once."""

import functools
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from keras_tuner.engine.trial import TrialStatus

from head.spec import HeadSpec
from tune.oracles import OBJECTIVE
from tune.oracles import create_oracle
from tune.slot import Arrays
from tune.space import suggest_spec
from tune.spec import SearchSpec
from tune.task import Outcome
from tune.task import Task
from tune.trainers import Trainer
from tune.trials import TrialRecord
from tune.trials import TrialStore

TUNER = "tuner"  # Folder of what KerasTuner writes; nobody reads it again.


class Runner(Protocol):
    """What gives the records of trials: this process, or workers."""

    def run(
        self,
        trials: Mapping[str, HeadSpec],
        parents: Mapping[str, tuple[str, int]] | None = None,
    ) -> list[TrialRecord]:
        """Returns the records of trials; see `TrialRunner`."""


class TrialRunner:
    """Trains the heads of trials, or looks up how that went before.

    Every trial trains with the same seed: trials differ by their specs
    alone, and a refit with that seed on the same rows repeats the score.

    Args:
        trainer: What trains them.
        store: Records of the trials that are finished.
        on_trained: Called after each trial that is not looked up.
    """

    def __init__(
        self,
        trainer: Trainer,
        store: TrialStore,
        on_trained: Callable[[], None],
    ) -> None:
        self._trainer, self._store = trainer, store
        self._on_trained = on_trained

    def run(
        self,
        trials: Mapping[str, HeadSpec],
        parents: Mapping[str, tuple[str, int]] | None = None,
    ) -> list[TrialRecord]:
        """Returns the records of trials; trains those that have none.

        A trial that diverges has failed; all else that goes wrong is an error.

        Args:
            trials: Spec by id.
            parents: By id the trial whose training is gone on with, and the
                number of its epochs. Where its state is not known any more
                the training begins anew, and comes to the same.
        """
        missing = self._store.find_missing(trials)
        ids = list(missing)

        def add(place: int, outcome: Outcome, state: Arrays) -> None:
            trial_id = ids[place]
            if parents is not None and outcome.val_accuracy is not None:
                self._store.save_state(trial_id, state)
            self._store.add(
                TrialRecord(
                    trial_id=trial_id,
                    spec=missing[trial_id],
                    status="failed" if outcome.message else "completed",
                    val_accuracy=outcome.val_accuracy,
                    val_loss=outcome.val_loss,
                    seconds=outcome.seconds,
                    message=outcome.message,
                )
            )
            self._on_trained()

        self._trainer.train(
            [
                self._create_task(spec, (parents or {}).get(trial_id))
                for trial_id, spec in missing.items()
            ],
            add,
        )
        return [self._store.get(trial_id) for trial_id in trials]

    def _create_task(
        self, spec: HeadSpec, parent: tuple[str, int] | None
    ) -> Task:
        state = self._store.load_state(parent[0]) if parent else None
        if parent is None or state is None:
            return Task(spec)
        return Task(spec, first_epoch=parent[1], state=state)


class HeadTuner(BaseTuner):
    """A tuner of KerasTuner whose trials are heads on cached features.

    Args:
        spec: What to search.
        num_views: Views of an image, which may be mixed if there are two.
        runner: What runs the trials.
        folder: Where KerasTuner may write.
    """

    def __init__(
        self,
        spec: SearchSpec,
        *,
        num_views: int,
        runner: Runner,
        folder: Path,
    ) -> None:
        self._runner = runner
        self._num_at_once = spec.parallel
        self._continues = spec.continues
        super().__init__(
            oracle=create_oracle(
                spec.oracle,
                max_trials=spec.max_trials,
                max_epochs=spec.max_epochs,
                seed=spec.seed,
            ),
            hypermodel=functools.partial(
                suggest_spec,
                oracle=spec.oracle,
                max_epochs=spec.max_epochs,
                num_views=num_views,
                fingerprint=spec.fingerprint,
            ),
            directory=str(folder),
            project_name=TUNER,
            overwrite=True,  # Or it would reload whatever lies there.
        )

    def search(self, beside: Mapping[str, HeadSpec]) -> list[TrialRecord]:
        """Runs the trials until the oracle has no more.

        KerasTuner's own loop runs one at a time and takes any exception for a
        bad trial; here a trial fails by diverging alone, and all else is an
        error.

        Args:
            beside: Trials that are no oracle's, run beside the first ones.

        Returns:
            Their records, then the others in the order of the oracle.
        """
        records: list[TrialRecord] = []
        while trials := self._draw_trials():
            specs = {
                trial.trial_id: self.hypermodel.build(trial.hyperparameters)
                for trial in trials
            }
            parents = (
                {
                    trial.trial_id: parent
                    for trial in trials
                    if (parent := _parent_of(trial))
                }
                if self._continues
                else None
            )
            found = self._runner.run({**beside, **specs}, parents)
            own = found[len(beside) :]
            for trial, record in zip(trials, own, strict=True):
                self._report(trial, record)
            records += found
            beside = {}
        return records

    def _draw_trials(self) -> list[Trial]:
        """Asks the oracle for as many trials as it has now."""
        trials = []
        for number in range(self._num_at_once):
            trial = self.oracle.create_trial(f"{self.tuner_id}-{number}")
            if trial.status in (TrialStatus.STOPPED, TrialStatus.IDLE):
                break
            trials.append(trial)
        return trials

    def _report(self, trial: Trial, record: TrialRecord) -> None:
        """Tells the oracle how a trial went."""
        if record.val_accuracy is None or record.val_loss is None:
            trial.status, trial.message = TrialStatus.FAILED, record.message
        else:
            self.oracle.update_trial(
                trial.trial_id,
                {OBJECTIVE: record.val_accuracy, "val_loss": record.val_loss},
            )
            trial.status = TrialStatus.COMPLETED
        self.on_trial_end(trial)


def _parent_of(trial: Trial) -> tuple[str, int] | None:
    """Returns the trial that Hyperband goes on with, and its epochs."""
    values = trial.hyperparameters.values
    if "tuner/trial_id" not in values:
        return None
    return values["tuner/trial_id"], values["tuner/initial_epoch"]
