"""The trials and baselines of a search as rows, as CSV and in words."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from tune.baselines import BaselineResult
from tune.results import SearchResult
from tune.seeds import SeedScores
from tune.trials import TrialRecord

BASELINE = "baseline"  # The status of one, where trials have theirs.
MORE_TRIALS = 2  # Times those of a search that found nothing better.


def rank_all(
    trials: Sequence[TrialRecord], baselines: Sequence[BaselineResult]
) -> list[TrialRecord | BaselineResult]:
    """Returns trials and baselines in one order, best first.

    Accuracy first, then loss, and what has none after what has one; then
    trials before baselines. Failed trials are at the end.

    Args:
        trials: Best first.
        baselines: In any order.
    """
    # Equals stay as they are.
    return sorted([*trials, *baselines], key=_rank_key)


def rank_baselines(
    baselines: Sequence[BaselineResult],
) -> list[BaselineResult]:
    """Returns the baselines, best first."""
    return sorted(baselines, key=_rank_key)


def summarize(result: SearchResult) -> dict[str, Any]:
    """Returns what a search came to but its trials, for JSON."""
    summary = result.summary
    return {
        "search": str(result.path),
        "best_spec": str(result.best_path),
        "best_score": summary.best_score,
        "best_trial": summary.best_trial,
        "reference_score": summary.reference_score,
        **baseline_fields(result.baselines),
        "seeds": seed_rows(result.seeds),
        "num_trials": summary.num_trials,
        "num_images": summary.num_images,
        "seconds": summary.seconds,
    }


def trial_rows(trials: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Returns one flat row a trial, in the order given, for CSV and JSON."""
    return [
        {
            "rank": rank,
            **trial.model_dump(mode="json", exclude={"spec", "message"}),
            **trial.spec.model_dump(mode="json"),
            "message": trial.message,
        }
        for rank, trial in enumerate(trials, 1)
    ]


def baseline_fields(baselines: Sequence[BaselineResult]) -> dict[str, Any]:
    """Returns the baselines, best first, and the name of the best, for JSON."""
    rows = [b.model_dump(mode="json") for b in rank_baselines(baselines)]
    best = rows[0]["name"] if rows else None
    return {"baselines": rows, "best_baseline": best}


def seed_rows(seeds: Sequence[SeedScores]) -> list[dict[str, Any]]:
    """Returns how each of the best trials does with several seeds, for JSON."""
    return [
        {
            "trial_id": scores.trial_id,
            "num_seeds": len(scores.val_accuracies),
            "mean": scores.mean,
            "min": scores.range[0],
            "max": scores.range[1],
        }
        for scores in seeds
    ]


def format_csv(
    trials: Sequence[TrialRecord], baselines: Sequence[BaselineResult] = ()
) -> str:
    """Returns trials and baselines as CSV with a header, best first.

    A baseline has its name where trials have their id, the status `baseline`,
    and a setting instead of hyperparameters.

    Args:
        trials: Best first, one at least.
        baselines: In any order.
    """
    fields = [*trial_rows(trials[:1])[0], "setting"]
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    for rank, entry in enumerate(rank_all(trials, baselines), 1):
        if isinstance(entry, BaselineResult):
            row = entry.model_dump(mode="json")
            row |= {"trial_id": row.pop("name"), "status": BASELINE}
        else:
            [row] = trial_rows([entry])
        writer.writerow({**row, "rank": rank})
    return text.getvalue()


def describe_outcome(result: SearchResult) -> str:
    """Returns what the search gained over the reference recipe and baselines.

    Where it gained nothing it says so, and what to do.
    """
    best, reference = result.trials[0], result.summary.reference_score
    is_beaten = False
    if reference is None:
        text = "The reference recipe diverged on this cache."
    elif best.is_reference:
        is_beaten = True
        others = [t for t in result.trials if not t.is_reference]
        score = max((t.val_accuracy or 0.0 for t in others), default=0.0)
        text = (
            "The search did not beat the reference recipe, which stays the "
            f"best: {reference:.2%} of the validation images, the best trial "
            f"{score:.2%}."
        )
    else:
        text = (
            f"The best trial is right on {result.summary.best_score:.2%} of "
            f"the validation images, the reference recipe on {reference:.2%}."
        )
    if result.baselines:
        baseline = rank_baselines(result.baselines)[0]
        is_better = baseline.val_accuracy > result.summary.best_score
        is_beaten |= is_better
        begin = "A baseline beats all trials" if is_better else "Best baseline"
        text += (
            f" {begin}: {baseline.name} ({baseline.setting}), right on "
            f"{baseline.val_accuracy:.2%}."
        )
    if is_beaten:
        max_trials = MORE_TRIALS * result.summary.spec.max_trials
        text += f" Try more trials with `--max-trials {max_trials}`."
    return text


def _rank_key(entry: TrialRecord | BaselineResult) -> tuple[float, float]:
    if entry.val_accuracy is None:
        return math.inf, math.inf
    loss = math.inf if entry.val_loss is None else entry.val_loss
    return -entry.val_accuracy, loss
