"""Tests for `tune.report` and `tune.plots`."""

import dataclasses

import pytest
from matplotlib.image import imread

from embed.console import Console
from tune.plots import draw_search
from tune.report import MAX_SHOWN
from tune.report import describe_outcome
from tune.report import format_table
from tune.report import trial_rows
from tune.trials import rank_trials

NUM_TRIALS = 22


@pytest.fixture(name="result")
def _result(search, train_at_once):
    """A finished search of 22 trials and the reference recipe."""
    assert not train_at_once
    return search(max_trials=NUM_TRIALS, console=Console(is_quiet=True))


def with_scores(result, trial_score, reference_score):
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
    return dataclasses.replace(result, summary=summary, trials=trials)


def test_rows_are_flat_and_whole(result):
    """Each row has rank, scores and every field of the spec."""
    rows = trial_rows(result.trials)

    assert len(rows) == NUM_TRIALS + 1
    for row, trial in zip(rows, result.trials, strict=True):
        assert row["trial_id"] == trial.trial_id
        assert row.items() >= trial.spec.model_dump(mode="json").items()


def test_the_table_shows_the_best_and_counts_the_rest(result):
    """Nothing is cut off without a word."""
    table = format_table(result)

    assert f"{result.summary.best_score:.2%}" in table
    assert "…" not in table
    assert table.endswith(f"and {NUM_TRIALS + 1 - MAX_SHOWN} more")


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


@pytest.mark.parametrize("num_trials", [1, NUM_TRIALS + 1])
def test_the_picture_is_drawn(result, tmp_path, num_trials):
    """One trial is enough; a failed or a far worse one does no harm."""
    trials = result.trials[:num_trials]
    failed = {"val_accuracy": None, "val_loss": None, "status": "failed"}
    worse = {"val_accuracy": 0.01}
    trials += [trials[0].model_copy(update=u) for u in (worse, failed)]

    draw_search(trials, tmp_path / "search.png")

    height, width, _ = imread(tmp_path / "search.png").shape
    assert width > height > 400
