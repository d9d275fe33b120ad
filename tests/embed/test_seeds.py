"""Tests for `embed.seeds`."""

from embed.seeds import MAX_SEED
from embed.seeds import list_seeds


def test_seeds_follow_the_first_one():
    """The first one is among them, 0 like any other."""
    assert list_seeds(0, 3) == [0, 1, 2]


def test_behind_the_largest_comes_the_smallest():
    """None is refused by TensorFlow."""
    assert list_seeds(MAX_SEED - 1, 4) == [MAX_SEED - 1, MAX_SEED, 0, 1]
