"""Trains the best trials of a search again, with other seeds."""

from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path

from embed.console import Console
from embed.seeds import list_seeds
from tune.hypermodel import TrialRunner
from tune.seeds import find_best
from tune.seeds import open_store
from tune.trainers import Trainer
from tune.trials import TrialRecord


def repeat_best(
    trials: Sequence[TrialRecord],
    create_trainer: Callable[[int], Trainer],
    *,
    seed: int,
    num_seeds: int,
    folder: Path,
    console: Console,
) -> None:
    """Trains the best trials with other seeds, unless that was done before.

    Args:
        trials: Best first.
        create_trainer: Returns what trains with a seed; called where
            something is to be trained.
        seed: Of the search; the following ones are taken.
        num_seeds: Seeds in all, that of the search among them.
        folder: Of the search.
        console: Receives progress.

    Raises:
        PipelineError: If a stream's memory limit has no room for a batch.
    """
    best = {trial.trial_id: trial.spec for trial in find_best(trials)}
    stores = {
        number: open_store(folder, number)
        for number in list_seeds(seed, num_seeds)[1:]
    }
    missing = {
        number: len(store.find_missing(best))
        for number, store in stores.items()
    }
    if not any(missing.values()):
        return
    num_all = len(best) * len(stores)
    with console.progress(
        "Seeds", num_all, "trainings", num_all - sum(missing.values())
    ) as progress:
        for number, store in stores.items():
            if missing[number]:
                TrialRunner(
                    create_trainer(number), store, progress.advance
                ).run(best)
