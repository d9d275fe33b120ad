"""Run a search: the reference recipe, then the trials of an oracle."""

import contextlib
import time
from pathlib import Path

from embed.artifacts import SEARCHES
from embed.artifacts import make_folder
from embed.artifacts import touch
from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.console import Console
from embed.devices import prepare_devices
from embed.memory import default_limit
from head.spec import BEST
from head.spec import RECIPES
from tune.baseline_file import read_baselines
from tune.baseline_file import run_and_keep
from tune.baselines import BaselineResult
from tune.board import Board
from tune.chief import Chief
from tune.chief import RemoteRunner
from tune.finish import write_best
from tune.finish import write_results
from tune.folder import SearchFolder
from tune.folder import name_search
from tune.hypermodel import HeadTuner
from tune.hypermodel import Runner
from tune.hypermodel import TrialRunner
from tune.repetition import repeat_best
from tune.report import describe_outcome
from tune.report import format_csv
from tune.results import SPEC
from tune.results import STATES
from tune.results import TABLE
from tune.results import TRIALS
from tune.results import SearchResult
from tune.results import load_search
from tune.role import Address
from tune.sample import suggest_sample
from tune.search_rows import SearchRows
from tune.space import count_grid_points
from tune.spec import OracleName
from tune.spec import SearchSpec
from tune.trainers import create_trainer
from tune.trials import REFERENCE
from tune.trials import TrialStore
from tune.trials import rank_trials
from tune.workers import Job

PARALLEL = 16  # Enough to keep a few cores busy until the last one ends.


def run_search(
    cache: FeatureCache,
    *,
    oracle: OracleName,
    max_trials: int,
    max_epochs: int,
    parallel: int = PARALLEL,
    folds: int = 1,
    rows: int | None = None,
    ensemble: int | None = None,
    seed: int,
    num_seeds: int = 1,
    num_workers: int = 1,
    address: Address | None = None,
    artifacts_dir: Path,
    memory_limit: int | None = None,
    has_baselines: bool = True,
    is_overwrite: bool,
    console: Console,
) -> SearchResult:
    """Searches the best head on a cache, unless that was done already.

    The reference recipe is trained too and wins where no trial beats it. The
    test split is not read.

    Args:
        cache: What the heads are trained on.
        oracle: What proposes the trials.
        max_trials: Largest number of trials, the reference recipe not counted.
        max_epochs: Largest number of epochs of a trial.
        parallel: Trials that are drawn and trained at once.
        folds: On how many folds of the train split a trial is trained and
            scored; 1 for its validation part alone.
        rows: Images of the train split to train and score on, a sample of
            them, see `tune.sample`; default: all.
        ensemble: Best heads that `best.json` averages; the search is the same.
            Default: 1, and in a search that was done as many as there are.
        seed: Of the oracle and of every training.
        num_seeds: Seeds that the best trials are trained with, to see how
            they spread.
        num_workers: Processes that train; 1 for this one alone. The trials
            are the same, and so is the search.
        address: Where workers ask that are started elsewhere. None is started
            here then, and `num_workers` are expected.
        artifacts_dir: Where searches are kept.
        memory_limit: Bytes that features may take; more are streamed, to the
            same result. Default: half of the memory that is free.
        has_baselines: Whether baselines are run for comparison. The trials
            are the same with and without, and so is the search.
        is_overwrite: Whether a finished search is done again.
        console: Where remarks go.

    Raises:
        PipelineError: If there is too little to train or to score on, no
            trial came to its end, or another process does the same search.
    """
    spec = SearchSpec.of(
        cache,
        oracle=oracle,
        max_trials=max_trials,
        max_epochs=max_epochs,
        parallel=parallel,
        folds=folds,
        rows=rows,
        seed=seed,
    )
    searches_dir = make_folder(artifacts_dir / SEARCHES)
    folder = SearchFolder(searches_dir, name_search(cache, spec))
    limit = default_limit() if memory_limit is None else memory_limit
    data = SearchRows(cache, spec, memory_limit=limit, console=console)
    with folder.lock():
        folder.mend()
        is_done = (folder.path / BEST).is_file() and not is_overwrite
        if is_done:
            console.say(f"The search {folder.path} was done already.")
            _add_to_finished(
                cache, spec, data, folder.path, ensemble, has_baselines, console
            )
        else:
            devices = prepare_devices().describe()
            console.say(f"{data.describe()}, {devices}.")
            of_each = limit // num_workers if address is None else limit
            if advice := suggest_sample(cache, spec, data.splits, of_each):
                console.say(advice)
            folder.build_dir.mkdir(parents=True, exist_ok=True)
            chief = None
            if address is not None or num_workers > 1:
                job = Job(cache.path, spec, folder.build_dir, of_each)
                chief = Chief(
                    spec,
                    str(folder.path.absolute()),
                    num_workers=num_workers,
                    place=address or job,
                    console=console,
                )
            with chief or contextlib.nullcontext():
                _search(
                    cache,
                    spec,
                    data,
                    folder.build_dir,
                    chief,
                    ensemble=ensemble or 1,
                    has_baselines=has_baselines,
                    console=console,
                )
            folder.swap()
        if num_seeds > 1:
            repeat_best(
                load_search(folder.path).trials,
                lambda number: create_trainer(data, number),
                seed=seed,
                num_seeds=num_seeds,
                folder=folder.path,
                console=console,
            )
    result = load_search(folder.path)
    if not is_done:
        console.say(describe_outcome(result))
    return result


def _add_to_finished(
    cache: FeatureCache,
    spec: SearchSpec,
    data: SearchRows,
    folder: Path,
    ensemble: int | None,
    has_baselines: bool,
    console: Console,
) -> None:
    """Does what is asked for besides trials; the search is the newest."""
    done = load_search(folder)
    if has_baselines and not done.baselines:
        found = _run_baselines(cache, data, folder, console)
        write_text(folder / TABLE, format_csv(done.trials, found))
    if ensemble is None:
        touch(folder / BEST)
    else:
        write_best(done.trials, ensemble, cache, spec, folder)


def _run_baselines(
    cache: FeatureCache, data: SearchRows, folder: Path, console: Console
) -> list[BaselineResult]:
    return run_and_keep(
        data.folds,
        num_classes=data.num_classes,
        fingerprint=cache.fingerprint,
        folder=folder,
        console=console,
    )


def _search(
    cache: FeatureCache,
    spec: SearchSpec,
    data: SearchRows,
    folder: Path,
    chief: Chief | None,
    *,
    ensemble: int,
    has_baselines: bool,
    console: Console,
) -> None:
    """Runs what is left of a search and writes its files."""
    began = time.monotonic()
    write_text(folder / SPEC, spec.to_json())  # For `embed prune`.
    found = read_baselines(folder, cache.fingerprint)
    seconds = sum(baseline.seconds for baseline in found)
    if has_baselines and not found:
        found = _run_baselines(cache, data, folder, console)
    store = TrialStore(folder / TRIALS, folder / STATES)
    num_trials = _count_trials(spec, console)
    earlier = store.records
    if earlier:
        console.say(f"Going on from {len(earlier)} finished trials.")
    board = Board(folder)
    board.update(earlier)
    with console.progress(
        "Search", num_trials + 1, "trials", len(earlier)
    ) as progress:

        def show_trial() -> None:
            board.update(store.records)
            progress.advance(1, _describe_best(store))

        runner: Runner
        if chief is None:
            trainer = create_trainer(data, spec.seed)
            runner = TrialRunner(trainer, store, on_trained=show_trial)
        else:
            data.release()  # The workers have their own.
            runner = RemoteRunner(chief, store, on_trained=show_trial)
        reference = RECIPES[REFERENCE].model_copy(
            update={"fingerprint": cache.fingerprint}
        )
        tuner = HeadTuner(
            spec,
            num_views=len(cache.spec.views),
            runner=runner,
            folder=folder,
        )
        records = tuner.search(beside={REFERENCE: reference})
    if chief is not None:
        chief.dismiss()  # Or one might leave another state.
    store.forget_states()
    seconds += sum(trial.seconds for trial in earlier)
    seconds += time.monotonic() - began
    trials = rank_trials(records)
    write_results(trials, found, cache, spec, folder, seconds)
    write_best(trials, ensemble, cache, spec, folder)


def _count_trials(spec: SearchSpec, console: Console) -> int:
    """Returns how many trials the oracle will run, at most."""
    num_points = count_grid_points()
    if spec.oracle != "grid" or spec.max_trials == num_points:
        return spec.max_trials
    if spec.max_trials < num_points:
        console.say(
            f"The grid has {num_points} points: only the first "
            f"{spec.max_trials} are tried. Try all with `--max-trials "
            f"{num_points}`."
        )
    return min(spec.max_trials, num_points)


def _describe_best(store: TrialStore) -> str:
    best = rank_trials(store.records)[0]
    if best.val_accuracy is None:
        return "none without failure yet"
    name = " (reference recipe)" if best.is_reference else ""
    return f"best {best.val_accuracy:.2%}{name}"
