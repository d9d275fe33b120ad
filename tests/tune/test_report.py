"""Tests for `tune.report`."""

import csv
import dataclasses
import io

import pytest

from tune.baselines import BaselineResult
from tune.report import baseline_fields
from tune.report import describe_outcome
from tune.report import format_csv
from tune.report import rank_all
from tune.report import trial_rows
from tune.trials import rank_trials

NUM_TRIALS = 4


@pytest.fixture(name="result")
def _result(search, train_at_once):
    """A finished search of 4 trials and the reference recipe."""
    assert not train_at_once
    return search(max_trials=NUM_TRIALS)


def create_baseline(name, accuracy, loss=None):
    """Returns the result of a baseline."""
    return BaselineResult(
        name=name,
        setting="C=10",
        val_accuracy=accuracy,
        val_loss=loss,
        seconds=1.0,
    )


def with_scores(result, trial_score, reference_score, *baselines):
    """Returns the search as if all its trials had scored the same."""
    scores = {False: trial_score, True: reference_score}
    trials = [
        trial.model_copy(update={"val_accuracy": scores[trial.is_reference]})
        for trial in result.trials
    ]
    trials = rank_trials(trials)
    summary = result.summary.model_copy(
        update={
            "reference_score": reference_score,
            "best_score": trials[0].val_accuracy,
        }
    )
    return dataclasses.replace(
        result, summary=summary, trials=trials, baselines=list(baselines)
    )


def test_rows_are_flat_and_whole(result):
    """Each row has rank, scores and every field of the spec."""
    rows = trial_rows(result.trials)

    assert len(rows) == NUM_TRIALS + 1
    for row, trial in zip(rows, result.trials, strict=True):
        assert row["trial_id"] == trial.trial_id
        assert row.items() >= trial.spec.model_dump(mode="json").items()


def test_baselines_rank_among_the_trials(result):
    """By accuracy, then loss; without a loss after all that have one."""
    scores = [(0.9, 0.5), (0.9, 0.7), (0.8, 0.1), (None, None)]
    trials = [
        result.trials[0].model_copy(
            update={
                "trial_id": str(number),
                "val_accuracy": accuracy,
                "val_loss": loss,
            }
        )
        for number, (accuracy, loss) in enumerate(scores)
    ]
    baselines = [
        create_baseline("knn", 0.9),
        create_baseline("logistic", 0.9, 0.6),
        create_baseline("nearest_mean", 0.7),
        create_baseline("ridge", 0.95),
    ]

    ranked = rank_all(trials, baselines)

    names = [getattr(e, "trial_id", None) or e.name for e in ranked]
    assert names == [
        *("ridge", "0", "logistic", "1", "knn", "2", "nearest_mean", "3")
    ]


def test_the_csv_has_baselines_too(result):
    """With name, setting and scores, and no hyperparameter."""
    best = result.trials[0]
    baseline = create_baseline("ridge", 1.0)

    text = format_csv(result.trials, [baseline])

    first, second, *rest = csv.DictReader(io.StringIO(text))
    said = {name: value for name, value in first.items() if value}
    assert said == {
        "rank": "1",
        "trial_id": "ridge",
        "status": "baseline",
        "val_accuracy": "1.0",
        "seconds": "1.0",
        "setting": "C=10",
    }
    assert second["trial_id"] == best.trial_id
    assert second["rank"] == "2"
    assert second["setting"] == ""
    assert len(rest) == NUM_TRIALS


def test_the_csv_of_a_search_without_baselines_has_the_same_columns(result):
    """So that tables of several searches can be put together."""
    with_one = format_csv(result.trials, [create_baseline("ridge", 1.0)])
    without = format_csv(result.trials)

    assert without.splitlines()[0] == with_one.splitlines()[0]


def test_json_has_the_best_baseline_first():
    """And says which that is; nothing where there is none."""
    fields = baseline_fields(
        [create_baseline("ridge", 0.8), create_baseline("logistic", 0.9, 0.3)]
    )

    assert fields["best_baseline"] == "logistic"
    assert fields["baselines"][0] == {
        "name": "logistic",
        "setting": "C=10",
        "val_accuracy": 0.9,
        "val_loss": 0.3,
        "seconds": 1.0,
    }
    assert baseline_fields([]) == {"baselines": [], "best_baseline": None}


@pytest.mark.parametrize(
    ("trial_score", "reference_score", "expected"),
    [
        (0.9, 0.8, "is right on 90.00% of the validation images, the ref"),
        (0.8, 0.9, "did not beat the reference recipe"),
        (0.9, None, "reference recipe diverged"),
    ],
)
def test_the_outcome_is_said_plainly(
    result, trial_score, reference_score, expected
):
    """A search that gained nothing does not sound as if it had."""
    changed = with_scores(result, trial_score, reference_score)

    assert expected in describe_outcome(changed)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.8, "Best baseline: ridge (C=10), right on 80.00%."),
        (0.9, "Best baseline: ridge (C=10), right on 90.00%."),
        (
            0.95,
            "A baseline beats all trials: ridge (C=10), right on 95.00%. Try "
            "more trials with `--max-trials 8`.",
        ),
    ],
)
def test_a_better_baseline_is_said_plainly(result, score, expected):
    """With its setting and what to do; an equal one is not better."""
    changed = with_scores(
        result,
        0.9,
        0.85,
        create_baseline("knn", 0.5),
        create_baseline("ridge", score),
    )

    assert describe_outcome(changed).endswith(expected)
