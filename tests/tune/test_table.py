"""Tests for `tune.table`."""

import dataclasses

import pytest

from head.spec import HeadSpec
from tune.baselines import BaselineResult
from tune.seeds import SeedScores
from tune.table import MAX_SHOWN
from tune.table import MAX_WIDTH
from tune.table import describe_head
from tune.table import format_table

NUM_TRIALS = 22
# The widest that a search comes to.
WIDE = {
    "normalization": "standardize",
    "learning_rate": 0.000123,
    "weight_decay": 0.0012,
    "mixup": 0.051,
    "view_mixing": True,
    "epochs": 1000,
    "temperature": 0.0234,
}
RIDGE = BaselineResult(
    name="ridge",
    setting="alpha=0.0003",
    val_accuracy=1.0,
    val_loss=None,
    seconds=1.0,
)
LOGISTIC = RIDGE.model_copy(
    update={"name": "logistic", "setting": "C=1000", "val_loss": 0.1}
)


@pytest.fixture(name="result")
def _result(search, train_at_once):
    """A finished search of 22 trials and the reference recipe."""
    assert not train_at_once
    return search(max_trials=NUM_TRIALS)


def with_specs(result, *specs):
    """Returns the search as if its first trials had had these specs."""
    trials = [
        trial.model_copy(update={"spec": spec, "val_loss": 12.3456})
        for trial, spec in zip(result.trials, specs, strict=False)
    ]
    return dataclasses.replace(result, trials=trials)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "dense"),
        ({"temperature": 0.0512}, "cosine 0.051"),
        ({"hidden_units": 64}, "hidden 64"),
        ({"hidden_units": 64, "temperature": 0.05}, "hidden 64, cosine 0.05"),
    ],
)
def test_a_head_is_named_by_its_kind(fields, expected):
    """With the one number that only heads of this kind have."""
    assert describe_head(HeadSpec(**fields)) == expected


def test_the_table_shows_the_best_and_counts_the_rest(result):
    """Nothing is cut off without a word."""
    table = format_table(result)

    assert f"{result.summary.best_score:.2%}" in table
    assert "…" not in table
    assert f"\n... and {NUM_TRIALS + 1 - MAX_SHOWN} more" in table


def test_the_widest_table_fits_a_terminal(result):
    """Also where every column is as wide as it gets."""
    other = HeadSpec(
        dropout=0.1, label_smoothing=0.1, schedule="cosine", warmup_epochs=2
    )
    widest = with_specs(result, HeadSpec(**WIDE), other)
    widest = dataclasses.replace(widest, baselines=[LOGISTIC])

    lines = format_table(widest).splitlines()

    assert max(map(len, lines)) <= MAX_WIDTH
    assert "same in all" not in lines[-1]
    assert "cosine 0.023" in lines[-2]


def test_what_is_the_same_in_all_trials_is_no_column(result):
    """It is said once, and where columns are few they are apart."""
    two = with_specs(result, HeadSpec(dropout=0.1), HeadSpec(dropout=0.2))

    table, same = format_table(two).split("The same in all trials: ")

    assert "drop-" in table
    assert "mixup" not in table
    assert " ".join(same.split()) == (
        "normalization none, learning rate 0.0005, schedule constant, warmup "
        "0, epochs 30, weight decay 0, label smoothing 0.00, mixup 0, mixed "
        "views no."
    )


def test_baselines_are_rows(result):
    """They have their name and the number of their setting as head."""
    compared = dataclasses.replace(result, baselines=[RIDGE, LOGISTIC])

    rows = [line.split() for line in format_table(compared).splitlines()]

    numbers = {tuple(row[:2]): row[2:] for row in rows if len(row) > 2}
    assert numbers["1", "baseline"] == ["100.00%", "0.100", "logistic", "1000"]
    assert numbers["2", "baseline"] == ["100.00%", "ridge", "0.0003"]


def test_baselines_have_names_where_all_heads_are_of_one_kind(result):
    """The column of heads stays then."""
    two = with_specs(result, HeadSpec(dropout=0.1), HeadSpec(dropout=0.2))
    compared = dataclasses.replace(two, baselines=[RIDGE])

    assert "ridge 0.0003" in format_table(compared)


def test_fewer_seeds_are_said_where_they_are(result):
    """Of a search that was cut off among them."""
    scores = [SeedScores("07", (0.95,)), SeedScores("08", (0.94, 0.96))]

    *_, first, second = format_table(
        dataclasses.replace(result, seeds=scores)
    ).splitlines()

    assert first.split("(")[1] == "95.00% to 95.00%), 1 of them"
    assert second.endswith("(94.00% to 96.00%)")


def test_mean_and_range_over_seeds_follow_the_table(result):
    """A search with several seeds says how far its best trials spread."""
    scores = [SeedScores("07", (0.95, 0.97))]

    text = format_table(dataclasses.replace(result, seeds=scores))

    assert "with 2 seeds" in text
    assert (
        text.splitlines()[-1].split() == "07 96.00% (95.00% to 97.00%)".split()
    )
