"""Tests for `tune.seeds` and `tune.repetition`."""

import pytest

from tune.seeds import NUM_BEST
from tune.seeds import SEEDS
from tune.seeds import SeedScores


def test_the_best_trials_are_trained_with_each_seed(search, train_at_once):
    """The five best get one score a seed, the first being the search's."""
    result = search(max_trials=8, num_seeds=3)

    best = result.trials[:NUM_BEST]
    assert [s.trial_id for s in result.seeds] == [t.trial_id for t in best]
    assert [len(s.val_accuracies) for s in result.seeds] == [3] * NUM_BEST
    assert [s.val_accuracies[0] for s in result.seeds] == [
        trial.val_accuracy for trial in best
    ]
    assert len(train_at_once) == 9 + 2 * NUM_BEST


def test_seeds_change_nothing_else(search, train_at_once):
    """Trials, their order and the winner are those of one seed."""
    alone = search(max_trials=8)
    trials, best = alone.trials, alone.best_path.read_text("utf-8")

    repeated = search(max_trials=8, num_seeds=3)

    assert repeated.trials == trials
    assert repeated.best_path.read_text("utf-8") == best
    assert alone.seeds == []


def test_only_what_is_missing_is_trained(search, train_at_once):
    """More seeds for a finished search train its best with those alone."""
    first = search(max_trials=8, num_seeds=2)
    train_at_once.clear()

    second = search(max_trials=8, num_seeds=3)
    third = search(max_trials=8, num_seeds=2)

    assert train_at_once == [t.spec for t in first.trials[:NUM_BEST]]
    assert third.seeds == second.seeds
    assert (second.path / SEEDS / "2").is_dir()


def test_a_seed_gives_what_a_search_with_it_gives(search):
    """A trial that is trained with seed 1 scores as in any other training."""
    result = search(max_trials=2, max_epochs=2, num_seeds=2)
    again = search(
        max_trials=2, max_epochs=2, seed=1, is_overwrite=True
    )  # Other trials, but the same reference recipe.

    of_reference = next(s for s in result.seeds if s.trial_id == "reference")
    reference = next(t for t in again.trials if t.is_reference)
    assert of_reference.val_accuracies[1] == reference.val_accuracy


def test_a_trial_that_diverges_with_a_seed_has_one_score_less(
    search, train_at_once, diverging
):
    """Mean and range are those of the trainings that came to their end."""
    search(max_trials=2)
    diverging.append(lambda spec: True)

    result = search(max_trials=2, num_seeds=2)

    assert [len(s.val_accuracies) for s in result.seeds] == [1, 1, 1]


def test_mean_and_range():
    """Three scores have the mean and the extremes that they have."""
    scores = SeedScores("3", (0.5, 0.75, 1.0))

    assert scores.mean == pytest.approx(0.75)
    assert scores.range == (0.5, 1.0)
