"""How the best trials of a search do with other seeds.

    seeds/SEED/ID.json   a `TrialRecord` of each

A trial is scored once, and the best of many has had some luck: mean and range
over seeds say how much. They choose nothing.
"""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

from tune.trials import TrialRecord
from tune.trials import TrialStore

SEEDS = "seeds"  # Folder of the records, by seed.
NUM_BEST = 5  # Trials that are trained again.


@dataclasses.dataclass(frozen=True)
class SeedScores:
    """How a trial does with several seeds.

    Args:
        trial_id: Its id.
        val_accuracies: With each seed, that of the search first.
    """

    trial_id: str
    val_accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean validation accuracy."""
        return statistics.fmean(self.val_accuracies)

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest validation accuracy."""
        return min(self.val_accuracies), max(self.val_accuracies)


def read_scores(
    trials: Sequence[TrialRecord], folder: Path
) -> list[SeedScores]:
    """Returns how the best trials do with all seeds that they were given.

    Args:
        trials: Best first.
        folder: Of the search.

    Returns:
        In the order of the trials; nothing where there was one seed alone.
    """
    stores = [
        open_store(folder, int(path.name))
        for path in sorted(
            (folder / SEEDS).glob("*"), key=lambda path: int(path.name)
        )
    ]
    scores = []
    for trial in find_best(trials):
        found = [store.find(trial.trial_id, trial.spec) for store in stores]
        accuracies = [
            record.val_accuracy
            for record in (trial, *found)
            if record is not None and record.val_accuracy is not None
        ]
        scores.append(SeedScores(trial.trial_id, tuple(accuracies)))
    return scores if stores else []


def find_best(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Returns the best trials that came to their end."""
    return [trial for trial in trials if not trial.message][:NUM_BEST]


def open_store(folder: Path, seed: int) -> TrialStore:
    """Returns the records of a seed in the folder of a search."""
    records = folder / SEEDS / str(seed)
    return TrialStore(records, records / "states")
