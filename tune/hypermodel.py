"""Runs the trials that an oracle proposes."""

import functools
import math
import time
from collections.abc import Callable
from pathlib import Path

import keras
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.errors import FailedTrialError

from embed.rows import Rows
from embed.stream import RowStream
from head.spec import HeadSpec
from head.train import DivergedError
from head.train import train_head
from tune.oracles import OBJECTIVE
from tune.oracles import create_oracle
from tune.space import suggest_spec
from tune.spec import SearchSpec
from tune.trials import TrialRecord
from tune.trials import TrialStore

TUNER = "tuner"  # Folder of what KerasTuner writes; nobody reads it again.


class TrialRunner:
    """Trains the head of a trial, or looks up how that went before.

    Every trial trains with the same seed: trials differ by their specs
    alone, and a refit with that seed on the same rows repeats the score.

    Args:
        train: Rows to fit on.
        val: Rows to score by.
        num_classes: Number of classes.
        seed: Of every training.
        store: Records of the trials that are finished.
        on_trained: Called after each trial that is not looked up.
    """

    def __init__(
        self,
        *,
        train: Rows | RowStream,
        val: Rows | RowStream,
        num_classes: int,
        seed: int,
        store: TrialStore,
        on_trained: Callable[[], None],
    ) -> None:
        self._train, self._val = train, val
        self._num_classes, self._seed = num_classes, seed
        self._store, self._on_trained = store, on_trained

    def run(self, trial_id: str, spec: HeadSpec) -> TrialRecord:
        """Returns the record of a trial, training its head if it has none."""
        record = self._store.find(trial_id, spec)
        if record is None:
            record = self._train_trial(trial_id, spec)
            self._store.add(record)
            self._on_trained()
        return record

    def _train_trial(self, trial_id: str, spec: HeadSpec) -> TrialRecord:
        """Trains a head; that it diverges is a result, all else an error."""
        began = time.monotonic()
        val_accuracy, val_loss, message = None, None, ""
        try:
            val_accuracy, val_loss = self._train_and_score(spec)
        except DivergedError as error:
            message = str(error)
        # A process that trains hundreds of heads must not keep their graphs;
        # this collects garbage too.
        keras.backend.clear_session()
        return TrialRecord(
            trial_id=trial_id,
            spec=spec,
            status="failed" if message else "completed",
            val_accuracy=val_accuracy,
            val_loss=val_loss,
            seconds=time.monotonic() - began,
            message=message,
        )

    def _train_and_score(self, spec: HeadSpec) -> tuple[float, float]:
        """Returns validation accuracy and loss after the last epoch."""
        history = train_head(
            spec,
            train=self._train,
            val=self._val,
            num_classes=self._num_classes,
            seed=self._seed,
        ).history
        loss = history["val_loss"][-1]
        if not math.isfinite(loss):
            raise DivergedError(
                f"The training diverged. Expected: a finite validation loss. "
                f"Received: {loss}. Lower the learning rate, which is "
                f"{spec.learning_rate}."
            )
        return history["val_accuracy"][-1], loss


class HeadTuner(BaseTuner):
    """A tuner of KerasTuner whose trials are heads on cached features.

    Args:
        spec: What to search.
        runner: What runs a trial.
        folder: Where KerasTuner may write.
    """

    def __init__(
        self, spec: SearchSpec, *, runner: TrialRunner, folder: Path
    ) -> None:
        self._runner = runner
        self._records: list[TrialRecord] = []
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
                fingerprint=spec.fingerprint,
            ),
            directory=str(folder),
            project_name=TUNER,
            overwrite=True,  # Or it would reload whatever lies there.
        )

    def search(self) -> list[TrialRecord]:
        """Runs the trials until the oracle has no more.

        KerasTuner's own loop takes any exception for a bad trial; here a
        trial fails by `FailedTrialError` alone, and all else is an error.

        Returns:
            The records, in the order of the oracle.
        """
        while True:
            trial = self.oracle.create_trial(self.tuner_id)
            if trial.status == TrialStatus.STOPPED:
                return self._records
            try:
                metrics = self.run_trial(trial)
            except FailedTrialError as error:
                trial.status, trial.message = TrialStatus.FAILED, str(error)
            else:
                self.oracle.update_trial(trial.trial_id, metrics)
                trial.status = TrialStatus.COMPLETED
            self.on_trial_end(trial)

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Returns the metrics of a trial.

        Raises:
            FailedTrialError: If its training diverged.
        """
        spec = self.hypermodel.build(trial.hyperparameters)
        record = self._runner.run(trial.trial_id, spec)
        self._records.append(record)
        if record.val_accuracy is None or record.val_loss is None:
            raise FailedTrialError(record.message)
        return {OBJECTIVE: record.val_accuracy, "val_loss": record.val_loss}
