"""`python -m tune`: search the best head on a feature cache.

Each command is a thin shell over one library call. Heavy imports are inside
the commands, so that `--help` answers at once.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any
from typing import Literal

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import CacheOption
from embed.console import Console
from embed.console import JsonOption
from embed.console import MemoryLimitOption
from embed.console import OverwriteOption
from embed.console import QuietOption
from embed.console import SeedOption
from embed.console import VerboseOption
from embed.console import command
from embed.console import create_app
from embed.console import format_seconds
from tune.comparing.command import run_compare

if TYPE_CHECKING:
    from embed.cache import FeatureCache
    from tune.role import Role

# As in `tune.spec`, whose import costs `--help` a tenth of a second.
OracleName = Literal["random", "bayesian", "hyperband", "grid"]

app = create_app("Search the best head on a feature cache with KerasTuner.")


@app.command("search")
def run_search_command(
    oracle: Annotated[
        OracleName, typer.Option(help="What proposes the trials.")
    ] = "random",
    max_trials: Annotated[
        int, typer.Option(min=1, help="Heads to train, at most.")
    ] = 32,
    max_epochs: Annotated[
        int, typer.Option(min=1, help="Epochs of a trial, at most.")
    ] = 60,
    parallel: Annotated[
        int, typer.Option(min=1, help="Heads to draw and train at once.")
    ] = 16,
    folds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Folds of the train split that each trial is scored on; 1: "
            "the validation images alone.",
        ),
    ] = 1,
    rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images of the train split to search on, training and "
            "validation together: a sample in which each class keeps its "
            "share. Default: all.",
        ),
    ] = None,
    ensemble: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Best heads to average in best.json, also of a finished "
            "search. Default: 1, and in a finished search as many as before.",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Seeds to train the best five trials with.",
        ),
    ] = 1,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Processes to train in, each on its share of the cores; 1: "
            "this one alone, on all of them.",
        ),
    ] = 1,
    baselines: Annotated[
        bool,
        typer.Option(help="Compare with regression, means and neighbours."),
    ] = True,
    cache: CacheOption = None,
    seed: SeedOption = 0,
    memory_limit: MemoryLimitOption = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train heads with different hyperparameters and keep the best.

    Trials are scored on validation images, which are part of the train split;
    the test split is not read. The reference recipe is trained too, and wins
    where no trial beats it. A search that was interrupted goes on where it
    stopped; one that is there already is not done again.

    Baselines come first: ridge and logistic regression, nearest means and
    nearest neighbours on the same features. They are rows of the table, and it
    is said where one beats all trials; best.json is a head all the same.
    `tensorboard --logdir artifacts/searches` shows the trials as they come.

    The best of many trials has had luck: --seeds 3 trains the best five with
    two more seeds and shows how far they spread, also of a finished search.

    Where the cache is larger than memory, --rows 100000 trains and scores on a
    sample that fits, and reads nothing else. It is drawn by the hash of the
    image ids, within training and validation images of each class: all trials
    have the same one, and a larger one contains it. An epoch is then a pass
    over the sample. `head train` trains the winner on all images.

    Bayesian optimisation draws a quarter of --max-trials at random, then
    --parallel at a time, from what is known by then. Hyperband sweeps, from
    few epochs to --max-epochs, until --max-trials are used up. The grid is cut
    off after --max-trials points.

    The trials are the same however many --workers train them, and so is their
    table. The trials of one that dies are run again, and it is started anew.

    On several machines run the same command on each, with its copy of the
    cache and KerasTuner's variables: KERASTUNER_ORACLE_IP and
    KERASTUNER_ORACLE_PORT, the address of the chief, and KERASTUNER_TUNER_ID,
    `chief` for the command that hands out the trials and has the results, and
    another name each for those that train. --workers then says how many of
    these are expected; the chief starts none. For example, the chief and a
    worker on 10.0.0.5, and a worker elsewhere:

        export KERASTUNER_ORACLE_IP=10.0.0.5 KERASTUNER_ORACLE_PORT=8000
        KERASTUNER_TUNER_ID=chief python -m tune search --workers 2 &
        KERASTUNER_TUNER_ID=a python -m tune search --workers 2
        KERASTUNER_TUNER_ID=b python -m tune search --workers 2

    The last digits of scores may differ between kinds of processors. A worker
    waits ten minutes for a chief that is not there, or is being started again.
    What they say is neither encrypted nor signed: use a network
    that you trust.

    Example: python -m tune search --oracle bayesian --max-trials 16
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.artifacts import find_labelled_cache
        from embed.devices import num_cpu_threads
        from embed.devices import prepare_devices
        from embed.devices import use_threads
        from tune.role import read_role

        role = read_role(os.environ)
        opened = find_labelled_cache(artifacts, cache)
        if cache is None:
            console.say(f"Cache: {opened.path} (the newest).")
        use_threads(num_cpu_threads())
        prepare_devices()

        options: dict[str, Any] = {
            "oracle": oracle,
            "max_trials": max_trials,
            "max_epochs": max_epochs,
            "parallel": parallel,
            "folds": folds,
            "rows": rows,
            "seed": seed,
        }
        if role is not None and not role.is_chief:
            _work(opened, role, options, artifacts, memory_limit, console)
            return

        from tune.report import summarize
        from tune.search import run_search
        from tune.table import format_table

        result = run_search(
            opened,
            **options,
            ensemble=ensemble,
            num_seeds=seeds,
            num_workers=workers,
            address=role.address if role else None,
            artifacts_dir=artifacts,
            memory_limit=memory_limit,
            has_baselines=baselines,
            is_overwrite=overwrite,
            console=console,
        )
        summary = result.summary
        console.result(
            summarize(result),
            f"{format_table(result)}\n"
            f"Search: {result.path}, {summary.num_trials} trials in "
            f"{format_seconds(summary.seconds)}\n"
            f"Best trial: {result.best_path}",
        )


def _work(
    cache: "FeatureCache",
    role: "Role",
    options: dict[str, Any],
    artifacts_dir: Path,
    memory_limit: int | None,
    console: Console,
) -> None:
    """Trains trials for the chief of another command."""
    from tune.spec import SearchSpec
    from tune.worker import run_worker

    report = run_worker(
        cache,
        SearchSpec.of(cache, **options),
        role=role,
        artifacts_dir=artifacts_dir,
        memory_limit=memory_limit,
        console=console,
    )
    payload = {
        "worker": role.name,
        "num_trials": report.num_trials,
        "seconds": report.seconds,
        "chief": str(role.address),
        "search": report.results_dir,
    }
    console.result(
        payload,
        f"Worker {role.name}: {report.num_trials} trials in "
        f"{format_seconds(report.seconds)}\n"
        f"Search: {report.results_dir}, where the chief is, {role.address}",
    )


@app.command("results")
def run_results(
    search: Annotated[
        Path | None,
        typer.Argument(help="Folder of a search; default: the newest."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Feature cache that the search was made on."),
    ] = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the trials and baselines of a finished search, best first.

    Example: python -m tune results --json
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.cache import open_cache
        from tune.report import baseline_fields
        from tune.report import describe_outcome
        from tune.report import seed_rows
        from tune.report import trial_rows
        from tune.results import find_search
        from tune.results import load_search
        from tune.table import format_table

        made_on = open_cache(cache) if cache else None
        if search is not None:
            result = load_search(search)
            if made_on is not None:
                result.require_cache(made_on)
        else:
            result = find_search(artifacts, made_on)
            console.say(f"Search: {result.path} (the newest).")
        payload = {
            "search": str(result.path),
            **result.summary.model_dump(mode="json", exclude={"cache_spec"}),
            **baseline_fields(result.baselines),
            "seeds": seed_rows(result.seeds),
            "trials": trial_rows(result.trials),
        }
        console.result(
            payload, f"{format_table(result)}\n{describe_outcome(result)}"
        )


app.command("compare")(run_compare)
