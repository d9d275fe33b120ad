"""`python -m head evaluate`: a shell over `judge` and `seeds`."""

from typing import Annotated

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import CacheOption
from embed.console import JsonOption
from embed.console import MemoryLimitOption
from embed.console import QuietOption
from embed.console import VerboseOption
from embed.console import command
from head.options import GroupsOption
from head.options import RunOption
from head.options import TtaOption


def run_evaluate(
    run: RunOption = None,
    tta: TtaOption = False,
    end_to_end: Annotated[
        bool,
        typer.Option(
            "--end-to-end", help="Start from the pictures, not from the cache."
        ),
    ] = False,
    groups: GroupsOption = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train the same head with this many seeds, from the run's "
            "own on; say mean and range.",
        ),
    ] = None,
    cache: CacheOption = None,
    memory_limit: MemoryLimitOption = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Judge a run on the test split, which chose nothing, by group and class.

    With 95 % intervals, and before and after calibration by the temperature
    that was fitted to the validation images. `--tta` says what the other views
    are worth, image by image: both of two, and of more those that training
    chose on validation images. Runs of other seeds are kept like any other,
    but commands go on taking the run that they took.

    Example: python -m head evaluate --tta --seeds 5
    """
    if seeds and end_to_end:
        raise typer.BadParameter(
            "`--seeds` judges from the cache; leave out `--end-to-end`"
        )
    if memory_limit is not None and not seeds:
        raise typer.BadParameter("`--memory-limit` is for `--seeds`")
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from head.choice import find_run_and_cache
        from head.evaluating.evaluation_table import format_evaluation
        from head.evaluating.judge import judge_run
        from head.evaluating.seeds import judge_seeds

        judged, features = find_run_and_cache(artifacts, run, cache)
        console.say(f"Run: {judged.directory}. Cache: {features.path}.")
        if tta:
            console.say(judged.describe_views())
        if seeds:
            payload = judge_seeds(
                judged,
                features,
                num_seeds=seeds,
                artifacts_dir=artifacts,
                memory_limit=memory_limit,
                is_averaged=tta,
                groups_file=groups,
                console=console,
            )
        else:
            payload = judge_run(
                judged,
                features,
                is_averaged=tta,
                is_end_to_end=end_to_end,
                groups_file=groups,
                console=console,
            )
        files = "".join(f"\n  {path}" for path in payload["pictures"])
        console.result(
            payload,
            f"{format_evaluation(payload)}\n\nRun: {payload['run']}{files}",
        )
