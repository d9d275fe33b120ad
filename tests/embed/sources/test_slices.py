"""Tests for `embed.sources.slices` and `embed.sources.features`."""

import dataclasses

import pytest

from embed.errors import SourceError
from embed.sources.features import choose_feature
from embed.sources.features import choose_ids
from embed.sources.slices import Piece
from embed.sources.slices import divide_rows
from embed.sources.slices import resolve_splits

LENGTHS = {"train": 100, "val": 10}


@dataclasses.dataclass(frozen=True)
class Instruction:
    """What both libraries answer."""

    splitname: str
    from_: int | None = None
    to: int | None = None


def parse(text):
    """Understands `NAME` and `NAME:FROM:TO`, joined by plus signs."""
    for part in text.split("+"):
        name, *bounds = part.split(":")
        if name not in LENGTHS:
            raise ValueError(name)
        yield Instruction(name, *(int(b) if b else None for b in bounds))


def resolve(train, test):
    """Resolves both splits of a dataset of 100 and 10."""
    return resolve_splits("x", {"train": train, "test": test}, LENGTHS, parse)


def test_whole_splits_and_parts():
    """Ends that are not said are those of the split."""
    assert resolve("train::80", "train:80:+val") == {
        "train": [Piece("train", 0, 80)],
        "test": [Piece("train", 80, 100), Piece("val", 0, 10)],
    }


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("trian", "val"), ("train:9:9", "val")],
)
def test_a_split_that_is_not_there_is_refused(train, test):
    """The message shows how parts are written."""
    with pytest.raises(SourceError, match=r"\['train', 'val'\].*train\[80%:\]"):
        resolve(train, test)


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "train:99:"), ("train::80", "val+train:79:81")],
)
def test_splits_that_overlap_are_refused(train, test):
    """Nobody is judged on what he learnt."""
    with pytest.raises(SourceError, match="'train' in common"):
        resolve(train, test)


def test_rows_are_found_in_their_pieces():
    """Rows of a split count on from piece to piece."""
    pieces = [Piece("a", 10, 13), Piece("b", 0, 2), Piece("a", 20, 25)]

    found = list(divide_rows(pieces, [0, 2, 5, 9]))

    assert found == [(pieces[0], [10, 12]), (pieces[2], [20, 24])]
    assert list(divide_rows(pieces, [])) == []


@pytest.mark.parametrize(
    ("found", "named", "expected"),
    [
        ({"fine"}, None, "fine"),
        ({"label", "species"}, None, "label"),
        ({"label", "species"}, "species", "species"),
    ],
)
def test_features_are_chosen(found, named, expected):
    """The one that was named, the one with the usual name, or the only one."""
    assert choose_feature("x", "ClassLabel", found, named=named) == expected


@pytest.mark.parametrize(
    ("found", "named", "match"),
    [
        ({"fine", "coarse"}, None, r"\['coarse', 'fine'\].*--label-from"),
        ({"fine", "coarse"}, "label", r"'label'.*\['coarse', 'fine'\]"),
        (set(), None, "is no image-classification set"),
    ],
)
def test_features_that_are_not_clear_are_refused(found, named, match):
    """The message lists those that there are."""
    with pytest.raises(SourceError, match=match):
        choose_feature("x", "ClassLabel", found, named=named)


def test_ids_are_the_first_that_are_unique():
    """The last column is unique by itself."""
    assert choose_ids(["aa", "ab", "cd"]) == ("a", "b")
    assert choose_ids(["aa", "cd"]) == ("c", "d")
