"""The same training with other seeds: how far figures depend on its chance."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embed.cache import FeatureCache
from embed.console import Console
from embed.seeds import list_seeds
from head.evaluating.evaluate import require_views
from head.evaluating.evaluation_file import add_to_evaluation
from head.evaluating.groups import find_groups
from head.evaluating.judge import judge_run
from head.refit import has_run
from head.refit import train_run
from head.run import Run
from head.training.train import prepare_threads

METRICS = ("top1", "top5", "mean_per_class", "macro_f1", "nll", "ece")
OF_CALIBRATED = ("temperature", "nll", "ece")


def judge_seeds(
    run: Run,
    cache: FeatureCache,
    *,
    num_seeds: int,
    artifacts_dir: Path,
    memory_limit: int | None = None,
    is_averaged: bool,
    groups_file: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Returns the metrics of a run, and how they are spread over seeds.

    The run is one of the heads; the others are trained as it was, with the
    seeds that follow its own, and are runs like any other: those that exist
    are found again. Commands that take the newest run take the same as before.

    Args:
        run: What to judge.
        cache: The one it was made on.
        num_seeds: Heads in all, the run's own among them.
        artifacts_dir: Folder of everything written.
        memory_limit: See `train_run`.
        is_averaged: Whether the logits of several views are averaged.
        groups_file: TOML file of groups of classes; default: built in.
        console: Receives progress and remarks.

    Raises:
        StaleCacheError: If the run was made on another cache.
        DivergedError: If a training diverged.
        PipelineError: If a view or a group is missing.
    """
    run.require_cache(cache)
    find_groups(cache.spec.class_names, groups_file)
    require_views(cache, is_averaged=is_averaged)
    first = run.record.seed
    seeds = list_seeds(first, num_seeds)
    others = _train(run, cache, seeds[1:], artifacts_dir, memory_limit, console)
    payloads = [
        judge_run(
            judged,
            cache,
            is_averaged=is_averaged,
            is_end_to_end=False,
            groups_file=groups_file,
            console=console,
            is_drawn=judged is run,
        )
        for judged in (run, *others)
    ]
    facts = {
        "seeds": {
            "num_seeds": num_seeds,
            "seeds": seeds,
            "runs": [payload["run"] for payload in payloads],
            **_spread([_figures_of(payload) for payload in payloads]),
        }
    }
    add_to_evaluation(run.directory, facts)
    return payloads[0] | facts


def _train(
    run: Run,
    cache: FeatureCache,
    seeds: Sequence[int],
    artifacts_dir: Path,
    memory_limit: int | None,
    console: Console,
) -> list[Run]:
    """Returns the runs of other seeds, trained where there are none."""
    spec = run.record.spec
    missing = [
        seed
        for seed in seeds
        if not has_run(cache, spec, seed=seed, artifacts_dir=artifacts_dir)
    ]
    if missing:
        prepare_threads(  # Before anything is judged: `head train`'s bits.
            feature_dim=cache.feature_dim,
            num_classes=len(cache.spec.class_names),
        )
    runs = []
    for seed in seeds:
        if seed in missing:
            number = missing.index(seed) + 1
            console.say(
                f"Training with seed {seed}, {number} of {len(missing)}."
            )
        runs.append(
            train_run(
                cache,
                spec,
                seed=seed,
                artifacts_dir=artifacts_dir,
                memory_limit=memory_limit,
                behind=run,
                console=console,
            )
        )
    return runs


def _figures_of(payload: dict[str, Any]) -> dict[str, Any]:
    """Returns what of an evaluation is compared between seeds."""
    calibrated, tta = payload["calibrated"], payload["tta"]
    return {
        **{name: payload[name] for name in METRICS},
        "calibrated": calibrated
        and {name: calibrated[name] for name in OF_CALIBRATED},
        "groups": {
            name: {"top1": group["top1"]}
            for name, group in payload["groups"].items()
        },
        "tta": tta and {"differences": tta["differences"]},
    }


def _spread(figures: Sequence[Any]) -> Any:
    """Returns mean, least and greatest of each figure, `None` if one lacks."""
    if any(figure is None for figure in figures):
        return None
    if isinstance(figures[0], dict):
        return {
            name: _spread([figure[name] for figure in figures])
            for name in figures[0]
        }
    return {
        "mean": statistics.fmean(figures),
        "min": min(figures),
        "max": max(figures),
    }
