"""Tests for `embed.splits`."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.splits import hash_id
from embed.splits import is_held_out
from embed.splits import sample_strata
from embed.splits import split_folds
from embed.splits import split_train

ids = st.lists(st.text(), unique=True, max_size=50)
shares = st.floats(0, 1)


def names_of(image_ids, selection):
    """Returns the ids that a selection takes."""
    return {image_ids[row] for row in selection.rows}


@given(ids, shares)
def test_split_is_disjoint_and_complete(image_ids, val_share):
    """Every image is on exactly one side, and its rows are ascending."""
    split = split_train(image_ids, val_share)

    rows = np.concatenate([split.train.rows, split.val.rows])
    assert sorted(rows.tolist()) == list(range(len(image_ids)))
    assert split.train.split == split.val.split == "train"
    for selection in (split.train, split.val):
        assert (np.diff(selection.rows) > 0).all()


@given(ids, st.randoms(use_true_random=False), shares)
def test_order_does_not_matter(image_ids, random, val_share):
    """The same images fall on the same sides, however they are listed."""
    shuffled = list(image_ids)
    random.shuffle(shuffled)

    val = split_train(image_ids, val_share).val
    val_of_shuffled = split_train(shuffled, val_share).val

    assert names_of(image_ids, val) == names_of(shuffled, val_of_shuffled)


@given(ids, ids, shares)
def test_new_images_never_move_an_old_one(old, new, val_share):
    """A grown dataset keeps each old image on the side where it was."""
    grown = list(dict.fromkeys([*new, *old]))

    before = names_of(old, split_train(old, val_share).val)
    after = names_of(grown, split_train(grown, val_share).val)

    assert before == after & set(old)


@given(ids, shares, shares)
def test_larger_share_holds_out_more(image_ids, one, other):
    """What a small share holds out, a larger one holds out too."""
    small = is_held_out(image_ids, min(one, other), salt="val")
    large = is_held_out(image_ids, max(one, other), salt="val")

    assert not (small & ~large).any()


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 100)])
def test_ends_of_the_range(share, expected):
    """Share 0 holds out none, share 1 all."""
    image_ids = [str(number) for number in range(100)]

    assert is_held_out(image_ids, share, salt="val").sum() == expected


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_share_is_met_approximately(share):
    """Of 10,000 ids the share differs by less than 0.02: five deviations."""
    image_ids = [f"Abyssinian_{number}.jpg" for number in range(10_000)]

    held_out = is_held_out(image_ids, share, salt="val")

    assert abs(held_out.mean() - share) < 0.02


def test_salts_are_independent():
    """Of the images held out for test, a fifth would be in validation."""
    image_ids = [str(number) for number in range(10_000)]

    both = is_held_out(image_ids, 0.2, "val") & is_held_out(
        image_ids, 0.2, "test"
    )

    assert abs(both.mean() - 0.04) < 0.01


def test_hash_is_of_salt_and_id():
    """The rule is simple enough to be written down elsewhere."""
    digest = hashlib.sha256("val\0été.jpg".encode()).hexdigest()

    assert hash_id("été.jpg", "val") == int(digest[:16], 16)


@given(st.integers(0, 200), st.integers(2, 7))
def test_folds_hold_each_image_once(num_images, num_folds):
    """In one `val`, and in every other `train`; no image moves with others."""
    image_ids = [f"{number}.jpg" for number in range(num_images)]

    folds = split_folds(image_ids, num_folds)
    fewer = split_folds(image_ids[: num_images // 2], num_folds)

    assert len(folds) == num_folds
    in_val = np.concatenate([fold.val.rows for fold in folds])
    assert sorted(in_val) == list(range(num_images))
    for fold, of_fewer in zip(folds, fewer, strict=True):
        both = np.concatenate([fold.train.rows, fold.val.rows])
        assert sorted(both) == list(range(num_images))
        assert set(of_fewer.val.rows) <= set(fold.val.rows)


@st.composite
def draw_strata(draw):
    """Returns ids and the stratum of each, one to four of them."""
    image_ids = draw(st.lists(st.text(), unique=True, min_size=1, max_size=60))
    numbers = st.sampled_from([3, 5, 8, 13])
    size = len(image_ids)
    strata = draw(st.lists(numbers, min_size=size, max_size=size))
    return image_ids, np.array(strata)


@given(draw_strata(), st.integers(0, 70))
def test_a_sample_has_rows_of_every_stratum(drawn, count):
    """As many rows as are asked for or there are, ascending, each once."""
    image_ids, strata = drawn

    rows = sample_strata(image_ids, strata, count, "rows")

    assert len(rows) == min(count, len(image_ids))
    assert (np.diff(rows) > 0).all()
    present = set(strata.tolist())
    assert len(set(strata[rows].tolist())) == min(count, len(present))


@given(draw_strata(), st.integers(0, 30), st.integers(0, 30))
def test_a_larger_sample_holds_a_smaller_one(drawn, count, more):
    """So that a search on twice as many rows has seen all of the first."""
    few = sample_strata(*drawn, count, "rows")
    many = sample_strata(*drawn, count + more, "rows")

    assert set(few) <= set(many)


@given(draw_strata(), st.integers(0, 60), st.randoms(use_true_random=False))
def test_a_sample_does_not_depend_on_the_order(drawn, count, random):
    """The same images are in it, however they are listed."""
    image_ids, strata = drawn
    order = list(range(len(image_ids)))
    random.shuffle(order)
    shuffled = [image_ids[place] for place in order]

    rows = sample_strata(image_ids, strata, count, "rows")
    of_shuffled = sample_strata(shuffled, strata[order], count, "rows")

    assert {image_ids[row] for row in rows} == {
        shuffled[row] for row in of_shuffled
    }


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1110, [1000, 100, 10]),
        (555, [500, 50, 5]),
        (222, [200, 20, 2]),
        (111, [100, 10, 1]),
        (11, [9, 1, 1]),
        (3, [1, 1, 1]),
    ],
)
def test_each_stratum_keeps_its_share(count, expected):
    """To the row, but that none of them goes."""
    strata = np.repeat([0, 1, 2], [1000, 100, 10])
    image_ids = [f"{number}.jpg" for number in range(len(strata))]

    rows = sample_strata(image_ids, strata, count, "rows")

    assert np.bincount(strata[rows]).tolist() == expected


def test_a_sample_is_of_the_smallest_hashes():
    """The rule is simple enough to be written down elsewhere."""
    image_ids = [str(number) for number in range(100)]
    by_hash = sorted(range(100), key=lambda n: hash_id(image_ids[n], "rows"))

    rows = sample_strata(image_ids, np.zeros(100, int), 7, "rows")

    assert rows.tolist() == sorted(by_hash[:7])
