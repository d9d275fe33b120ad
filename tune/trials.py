"""The trials of a search, finished ones only: one JSON file each.

    trials/ID.json     a `TrialRecord`; ID counts from 0, or is `reference`
    states/ID.npz      weights and moments of a trial that Hyperband may go on
                       with; gone when the search has finished

A file is there whole or not at all. A search that was killed is run again
from its start: an oracle that is told the same scores proposes the same
trials, and each that has a record is looked up and not trained. So nothing
that KerasTuner saves of an oracle is ever read, neither another search's nor
half a file, and every oracle resumes to the table that it would have given.
"""

import shutil
import uuid
import zipfile
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic

from embed.artifacts import write_text
from embed.errors import PipelineError
from head.spec import HeadSpec

REFERENCE = "reference"  # Id of the trial that is no oracle's.
TrialStatus = Literal["completed", "failed"]


class TrialRecord(pydantic.BaseModel, frozen=True, extra="forbid"):
    """A trial that was run to its end.

    Args:
        trial_id: Number in the order of the oracle, or `reference`.
        spec: What was trained.
        status: Whether its training came to an end or diverged.
        val_accuracy: Share of the validation images that are right after the
            last epoch; `None` where it failed.
        val_loss: Their cross-entropy without label smoothing, so that trials
            compare; `None` where it failed.
        seconds: Of its training.
        message: Why it failed, or `""`.
    """

    trial_id: str
    spec: HeadSpec
    status: TrialStatus
    val_accuracy: float | None = None
    val_loss: float | None = None
    seconds: float
    message: str = ""

    @property
    def is_reference(self) -> bool:
        """Whether this is the reference recipe."""
        return self.trial_id == REFERENCE

    @property
    def rank_key(self) -> tuple[bool, float, float, int]:
        """What trials are sorted by, best first.

        Accuracy first, then loss, then number; the reference recipe before
        an equal trial, failed ones at the end.
        """
        number = -1 if self.is_reference else int(self.trial_id)
        if self.val_accuracy is None or self.val_loss is None:
            return True, 0.0, 0.0, number
        return False, -self.val_accuracy, self.val_loss, number


def rank_trials(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Returns the trials, best first."""
    return sorted(trials, key=lambda trial: trial.rank_key)


class TrialStore:
    """The records of one search.

    Args:
        folder: Where they lie.
        states_dir: Where states of trainings lie.
    """

    def __init__(self, folder: Path, states_dir: Path) -> None:
        self._folder, self._states_dir = folder, states_dir
        self._records = {r.trial_id: r for r in read_trials(folder)}

    @property
    def records(self) -> list[TrialRecord]:
        """Every record that there is."""
        return list(self._records.values())

    def find(self, trial_id: str, spec: HeadSpec) -> TrialRecord | None:
        """Returns the record of a trial, if it was run with this spec."""
        record = self._records.get(trial_id)
        return record if record is not None and record.spec == spec else None

    def find_missing(
        self, trials: Mapping[str, HeadSpec]
    ) -> dict[str, HeadSpec]:
        """Returns those of some trials that have no record, spec by id."""
        return {
            trial_id: spec
            for trial_id, spec in trials.items()
            if self.find(trial_id, spec) is None
        }

    def get(self, trial_id: str) -> TrialRecord:
        """Returns the record of a trial that has one."""
        return self._records[trial_id]

    def add(self, record: TrialRecord) -> None:
        """Writes the record of a trial."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{record.trial_id}.json"
        write_text(path, record.model_dump_json(indent=2))
        self._records[record.trial_id] = record

    def save_state(self, trial_id: str, state: Sequence[np.ndarray]) -> None:
        """Writes what the training of a trial can be gone on with."""
        self._states_dir.mkdir(parents=True, exist_ok=True)
        # Two workers may train the same, if one was taken for lost.
        part = self._states_dir / f"{trial_id}-{uuid.uuid4().hex}.part"
        with part.open("wb") as file:
            np.savez(file, *state)
        part.replace(self._states_dir / f"{trial_id}.npz")

    def load_state(self, trial_id: str) -> list[np.ndarray] | None:
        """Reads it; `None` where there is none that is whole."""
        path = self._states_dir / f"{trial_id}.npz"
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                return [arrays[f"arr_{n}"] for n in range(len(arrays.files))]
        except (OSError, EOFError, ValueError, zipfile.BadZipFile):
            return None  # Lost with the power: the training begins anew.

    def forget_states(self) -> None:
        """Removes the states of all trials."""
        shutil.rmtree(self._states_dir, ignore_errors=True)


def read_trials(folder: Path) -> list[TrialRecord]:
    """Reads the records of a search.

    Raises:
        PipelineError: If a file is no record.
    """
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _read(path: Path) -> TrialRecord:
    try:
        return TrialRecord.model_validate_json(path.read_text("utf-8"))
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"The file {path} is no trial. Expected: the JSON fields "
            f"{sorted(TrialRecord.model_fields)}. Received: {error}. Remove "
            "it and run the search again."
        ) from error
