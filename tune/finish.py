"""The files that a finished search leaves."""

from pathlib import Path

from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.devices import prepare_devices
from embed.errors import PipelineError
from embed.provenance import installed_versions
from embed.provenance import now
from head.spec import BEST
from head.spec import format_best
from tune.baselines import BaselineResult
from tune.plots import draw_search
from tune.report import format_csv
from tune.results import PICTURE
from tune.results import SUMMARY
from tune.results import TABLE
from tune.results import SearchSummary
from tune.spec import SearchSpec
from tune.trials import TrialRecord


def write_results(
    trials: list[TrialRecord],
    baselines: list[BaselineResult],
    cache: FeatureCache,
    spec: SearchSpec,
    folder: Path,
    seconds: float,
) -> None:
    """Writes the files of a finished search but the winner.

    Args:
        trials: Best first.
        baselines: What they are compared with.
        cache: What they were trained on.
        spec: What was searched.
        folder: Where to write.
        seconds: That the search took.

    Raises:
        PipelineError: If no trial came to its end.
    """
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
        num_cached=cache.num_images["train"],
    )
    write_text(folder / SUMMARY, summary.model_dump_json(indent=2))
    write_text(folder / TABLE, format_csv(trials, baselines))
    draw_search(trials, folder / PICTURE, num_sampled=spec.rows)


def write_best(
    trials: list[TrialRecord],
    ensemble: int,
    cache: FeatureCache,
    spec: SearchSpec,
    folder: Path,
) -> None:
    """Writes the winner, or the mean of the best heads.

    Args:
        trials: Best first.
        ensemble: How many heads are averaged.
        cache: What they were chosen on.
        spec: What was searched.
        folder: Where to write.
    """
    best, *others = (t.spec for t in trials[:ensemble] if not t.message)
    winner = best.model_copy(update={"others": tuple(others)})
    text = format_best(winner, cache.spec, spec.rows)
    write_text(folder / BEST, text)
