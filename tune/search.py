"""Run a search: the reference recipe, then the trials of an oracle."""

import time
from pathlib import Path

from embed.artifacts import SEARCHES
from embed.artifacts import make_folder
from embed.artifacts import name_dataset
from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.console import Console
from embed.devices import prepare_devices
from embed.errors import PipelineError
from embed.memory import default_limit
from embed.provenance import installed_versions
from embed.provenance import now
from embed.stream import Reader
from embed.stream import choose_reader
from head.refit import take_train_and_val
from head.spec import BEST
from head.spec import RECIPES
from head.spec import format_best
from tune.baselines import BaselineResult
from tune.board import Board
from tune.comparison import compare
from tune.comparison import read_baselines
from tune.folder import SearchFolder
from tune.folds import FoldedTrainer
from tune.folds import create_folded_trainer
from tune.hypermodel import HeadTuner
from tune.hypermodel import TrialRunner
from tune.plots import draw_search
from tune.report import describe_outcome
from tune.report import format_csv
from tune.results import PICTURE
from tune.results import SPEC
from tune.results import STATES
from tune.results import SUMMARY
from tune.results import TABLE
from tune.results import TRIALS
from tune.results import SearchResult
from tune.results import SearchSummary
from tune.results import load_search
from tune.space import count_grid_points
from tune.spec import OracleName
from tune.spec import SearchSpec
from tune.trials import REFERENCE
from tune.trials import TrialRecord
from tune.trials import TrialStore
from tune.trials import rank_trials
from tune.vectorized import VectorizedTrainer

PARALLEL = 16  # Enough to keep a few cores busy until the last one ends.


def run_search(
    cache: FeatureCache,
    *,
    oracle: OracleName,
    max_trials: int,
    max_epochs: int,
    parallel: int = PARALLEL,
    folds: int = 1,
    ensemble: int = 1,
    seed: int,
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
        ensemble: Best heads that `best.json` averages; the search is the same.
        seed: Of the oracle and of every training.
        artifacts_dir: Where searches are kept.
        memory_limit: Bytes that features may take; more are streamed, to the
            same result. Default: half of the memory that is free.
        has_baselines: Whether baselines are run for comparison. The trials
            are the same with and without, and so is the search.
        is_overwrite: Whether a finished search is done again.
        console: Where remarks go.

    Raises:
        PipelineError: If there is nothing to train or to score on, no trial
            came to its end, or another process does the same search.
    """
    spec = SearchSpec(
        fingerprint=cache.fingerprint,
        pictures_digest=cache.pictures_digest(),
        oracle=oracle,
        max_trials=max_trials,
        max_epochs=max_epochs,
        parallel=parallel,
        folds=folds,
        seed=seed,
    )
    searches_dir = make_folder(artifacts_dir / SEARCHES)
    folder = SearchFolder(searches_dir, _name_search(cache, spec))
    with folder.lock():
        folder.mend()
        if (folder.path / BEST).is_file() and not is_overwrite:
            console.say(f"The search {folder.path} was done already.")
            done = load_search(folder.path)
            _write_best(done.trials, ensemble, cache, folder.path)
            return done
        # Of every fold the rows are held.
        limit = default_limit() if memory_limit is None else memory_limit
        read = choose_reader(cache, limit // folds, console)
        _search(
            cache,
            spec,
            read,
            folder.build_dir,
            ensemble=ensemble,
            has_baselines=has_baselines,
            console=console,
        )
        folder.swap()
    result = load_search(folder.path)
    console.say(describe_outcome(result))
    return result


def _search(
    cache: FeatureCache,
    spec: SearchSpec,
    read: Reader,
    folder: Path,
    *,
    ensemble: int,
    has_baselines: bool,
    console: Console,
) -> None:
    """Runs what is left of a search and writes its files."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SPEC, spec.to_json())  # For `embed prune`.
    num_classes = len(cache.spec.class_names)
    found = read_baselines(folder, cache.fingerprint)
    seconds = sum(baseline.seconds for baseline in found)
    trainer: VectorizedTrainer | FoldedTrainer
    if spec.folds > 1:
        trainer = create_folded_trainer(
            cache, read, num_folds=spec.folds, seed=spec.seed
        )
        console.say(
            f"{cache.num_images['train']:,} images in {spec.folds} folds, "
            f"{prepare_devices().describe()}."
        )
        if has_baselines:
            console.say("No baselines: they are scored without folds.")
    else:
        train, val = take_train_and_val(cache, read)
        console.say(
            f"{len(train):,} training and {len(val):,} validation images, "
            f"{prepare_devices().describe()}."
        )
        if has_baselines:
            found = compare(
                train,
                val,
                num_classes=num_classes,
                fingerprint=cache.fingerprint,
                folder=folder,
                console=console,
            )
        trainer = VectorizedTrainer(
            train=train, val=val, num_classes=num_classes, seed=spec.seed
        )
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

        runner = TrialRunner(trainer, store, on_trained=show_trial)
        reference = RECIPES[REFERENCE].model_copy(
            update={"fingerprint": cache.fingerprint}
        )
        tuner = HeadTuner(
            spec,
            num_views=len(cache.spec.views),
            runner=runner,
            folder=folder,
        )
        records = [*runner.run({REFERENCE: reference}), *tuner.search()]
    store.forget_states()
    seconds += sum(trial.seconds for trial in earlier)
    seconds += time.monotonic() - began
    trials = rank_trials(records)
    _write(trials, found, cache, spec, folder, seconds)
    _write_best(trials, ensemble, cache, folder)


def _write(
    trials: list[TrialRecord],
    baselines: list[BaselineResult],
    cache: FeatureCache,
    spec: SearchSpec,
    folder: Path,
    seconds: float,
) -> None:
    """Writes the files of a finished search but the winner."""
    best = trials[0]
    if best.val_accuracy is None:
        raise PipelineError(
            f"All {len(trials)} trials of the search failed, the reference "
            "recipe too. Expected: one at least that comes to its end. "
            f"Received: {best.message} Look at the cache with "
            f"`python -m embed info {cache.path}`."
        )
    reference = next(trial for trial in trials if trial.is_reference)
    summary = SearchSummary(
        spec=spec,
        cache=cache.path,
        cache_spec=cache.spec,
        created=now(),
        devices=prepare_devices().describe(),
        versions=installed_versions(),
        seconds=seconds,
        num_trials=len(trials) - 1,
        best_trial=best.trial_id,
        best_score=best.val_accuracy,
        reference_score=reference.val_accuracy,
    )
    write_text(folder / SUMMARY, summary.model_dump_json(indent=2))
    write_text(folder / TABLE, format_csv(trials, baselines))
    draw_search(trials, folder / PICTURE)


def _write_best(
    trials: list[TrialRecord], ensemble: int, cache: FeatureCache, folder: Path
) -> None:
    """Writes the winner, or the mean of the best heads."""
    best, *others = (t.spec for t in trials[:ensemble] if not t.message)
    winner = best.model_copy(update={"others": tuple(others)})
    write_text(folder / BEST, format_best(winner, cache.spec))


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


def _name_search(cache: FeatureCache, spec: SearchSpec) -> str:
    """Returns `DATASET-ORACLE-DIGEST`, the first two being for people."""
    dataset = name_dataset(cache.spec.dataset)
    return f"{dataset}-{spec.oracle}-{spec.digest()}"
