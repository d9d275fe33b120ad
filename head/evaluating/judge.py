"""The judging of a run: measured, written and drawn, or found as it was."""

import functools
from pathlib import Path
from typing import Any

from embed.artifacts import BUILDING
from embed.cache import FeatureCache
from embed.claims import lock_work
from embed.console import Console
from embed.errors import PipelineError
from head.evaluating.evaluation_file import RELIABILITY
from head.evaluating.evaluation_file import digest_inputs
from head.evaluating.evaluation_file import find_evaluation
from head.evaluating.evaluation_file import keep_evaluation
from head.evaluating.groups import Groups
from head.evaluating.groups import find_groups
from head.run import Run


def judge_run(
    run: Run,
    cache: FeatureCache,
    *,
    is_averaged: bool,
    is_end_to_end: bool,
    groups_file: Path | None,
    console: Console,
    is_drawn: bool = True,
    directory: Path | None = None,
) -> dict[str, Any]:
    """Returns the metrics of a run on the test split and where its files are.

    What was measured of the same head on the same rows is not measured again;
    from the pictures, which may have changed, it always is.

    Args:
        run: What to judge.
        cache: The one it was made on.
        is_averaged: Whether the logits of several views are averaged.
        is_end_to_end: Whether to start from the pictures.
        groups_file: TOML file of groups of classes; default: built in.
        console: Receives progress and remarks.
        is_drawn: Whether there are to be pictures as well as numbers.
        directory: Where files go if it has to be measured; default: to the
            run, where they replace those of other options and are found again.

    Raises:
        StaleCacheError: If the run was made on another cache.
        PipelineError: If a view, a picture or a group is missing.
    """
    run.require_cache(cache)
    groups = find_groups(cache.spec.class_names, groups_file)
    made_from = digest_inputs(run, cache, groups, is_averaged=is_averaged)

    def find() -> dict[str, Any] | None:
        if is_end_to_end:
            return None
        found = find_evaluation(run.directory, made_from, is_drawn=is_drawn)
        return found and found | {"run": str(run.directory)}

    if found := find():
        return found
    measure = functools.partial(
        _measure,
        run,
        cache,
        groups,
        None if is_end_to_end else made_from,
        is_averaged=is_averaged,
        is_end_to_end=is_end_to_end,
        is_drawn=is_drawn,
        console=console,
    )
    if directory is not None:
        return measure(directory)
    # Two would write the files of one, and say that they are the other's.
    lock_path = run.directory.parent / BUILDING / f"{run.directory.name}.lock"
    subject = f"The evaluation of {run.directory}"
    with lock_work(lock_path, subject, waiting=console):
        return find() or measure(run.directory)


def _measure(
    run: Run,
    cache: FeatureCache,
    groups: Groups,
    made_from: str | None,
    directory: Path,
    *,
    is_averaged: bool,
    is_end_to_end: bool,
    is_drawn: bool,
    console: Console,
) -> dict[str, Any]:
    """Measures, writes and draws, and notes from what, if it is to be found."""
    # TensorFlow and matplotlib, only where something is to be measured.
    from embed.devices import prepare_devices
    from head.evaluating.evaluate import evaluate
    from head.evaluating.evaluation_file import write_evaluation

    prepare_devices()
    evaluation = evaluate(
        run,
        cache,
        is_averaged=is_averaged,
        is_end_to_end=is_end_to_end,
        groups=groups,
        console=console,
    )
    write_evaluation(evaluation, directory)
    pictures = []
    if is_drawn:
        from head.evaluating.calibration_plot import draw_reliability
        from head.evaluating.pictures import draw_groups

        pictures = [directory / RELIABILITY]
        draw_reliability(evaluation.answers, pictures[0])
        try:
            pictures += draw_groups(evaluation, groups, cache, directory)
        except PipelineError as error:
            console.say(f"The predictions were not drawn: {error}")
            is_drawn = False
    if made_from is not None:
        keep_evaluation(
            evaluation, directory, pictures, made_from, is_drawn=is_drawn
        )
    return evaluation.to_payload() | {
        "pictures": [str(path) for path in pictures],
        "run": str(run.directory),
    }
