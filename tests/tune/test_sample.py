"""Tests for `tune.sample`."""

import hashlib
import re

import numpy as np
import pytest

from embed.errors import PipelineError
from embed.splits import split_folds
from embed.splits import split_train
from embed.stream import measure_rows
from tune.sample import divide_rows
from tune.sample import suggest_sample
from tune.spec import SearchSpec

OPTIONS = {
    "oracle": "random",
    "max_trials": 1,
    "max_epochs": 1,
    "parallel": 1,
    "seed": 0,
}
NUM_CLASSES = 3
NUM_TRAIN = 600


@pytest.fixture(name="cache", scope="module")
def _cache(draw_cache, tmp_path_factory):
    """600 training images of 3 classes."""
    folder = tmp_path_factory.mktemp("sample")
    return draw_cache(folder / "cache.h5", num_train=NUM_TRAIN)


@pytest.fixture(name="divide")
def _divide(cache):
    """Divides a sample of so many rows; returns rows by part, of each fold."""

    def divide(rows, **options):
        spec = SearchSpec.of(cache, rows=rows, **{**OPTIONS, **options})
        return [(s.train, s.val) for s in divide_rows(cache, spec)]

    return divide


def count_classes(cache, selection):
    """Returns how many rows of each class are selected."""
    labels = cache.labels("train")[selection.rows]
    return np.bincount(labels, minlength=NUM_CLASSES)


@pytest.mark.parametrize("rows", [6, 50, 300, 599])
def test_a_sample_is_part_of_the_whole(cache, divide, rows):
    """Training rows of it are training rows, and validation rows are such."""
    whole = split_train(cache.image_ids("train"))

    [(train, val)] = divide(rows)

    assert len(train.rows) + len(val.rows) == rows
    assert set(train.rows) <= set(whole.train.rows)
    assert set(val.rows) <= set(whole.val.rows)
    assert train.split == val.split == "train"
    assert (np.diff(train.rows) > 0).all()
    assert (np.diff(val.rows) > 0).all()


@pytest.mark.parametrize("rows", [50, 300])
def test_each_class_keeps_its_share(cache, divide, rows):
    """Of the training and of the validation rows, to one or two of them."""
    whole = split_train(cache.image_ids("train"))

    [(train, val)] = divide(rows)

    for part, of_whole in ((train, whole.train), (val, whole.val)):
        expected = count_classes(cache, of_whole) * rows / NUM_TRAIN
        assert np.abs(count_classes(cache, part) - expected).max() < 1


def test_the_least_sample_has_each_class_twice(cache, divide):
    """Once to train on and once to score by; with a row less it is refused."""
    [(train, val)] = divide(2 * NUM_CLASSES)

    assert count_classes(cache, train).tolist() == [1] * NUM_CLASSES
    assert count_classes(cache, val).tolist() == [1] * NUM_CLASSES
    with pytest.raises(PipelineError, match="`--rows 6`") as raised:
        divide(2 * NUM_CLASSES - 1)
    assert "Received: 5." in str(raised.value)


@pytest.mark.parametrize("folds", [1, 4])
def test_a_larger_sample_holds_a_smaller_one(divide, folds):
    """On the same sides, so that what was learnt on one holds on the other."""
    for few, many in zip(
        divide(100, folds=folds), divide(200, folds=folds), strict=True
    ):
        for smaller, larger in zip(few, many, strict=True):
            assert set(smaller.rows) < set(larger.rows)


def test_every_fold_has_every_class(cache, divide):
    """Also of a sample as small as that may be; each row is scored once."""
    whole = split_folds(cache.image_ids("train"), 4)

    folds = divide(4 * NUM_CLASSES, folds=4)

    sampled = np.concatenate([val.rows for _, val in folds])
    assert len(set(sampled.tolist())) == len(sampled) == 4 * NUM_CLASSES
    for (train, val), of_whole in zip(folds, whole, strict=True):
        assert set(val.rows) <= set(of_whole.val.rows)
        assert set(train.rows) == set(sampled) - set(val.rows)
        assert count_classes(cache, val).tolist() == [1] * NUM_CLASSES


def test_added_images_move_none_between_the_sides(draw_cache, tmp_path, divide):
    """Who is in the sample of a larger cache is on the side it was on."""
    [(train, val)] = divide(300)
    larger = draw_cache(tmp_path / "larger.h5", num_train=2 * NUM_TRAIN)
    spec = SearchSpec.of(larger, rows=300, **OPTIONS)

    [split] = divide_rows(larger, spec)

    assert not set(split.train.rows) & set(val.rows)
    assert not set(split.val.rows) & set(train.rows)


def test_as_many_rows_as_there_are_are_no_sample(cache, divide):
    """It is the search on all, by name too; a row less is another one."""
    whole = SearchSpec.of(cache, **OPTIONS)

    for rows in (NUM_TRAIN, NUM_TRAIN + 1, 10**12):
        assert SearchSpec.of(cache, rows=rows, **OPTIONS) == whole
    some = SearchSpec.of(cache, rows=NUM_TRAIN - 1, **OPTIONS)
    assert some.digest() != whole.digest()
    [(train, val)] = divide(None)
    assert len(train.rows) + len(val.rows) == NUM_TRAIN


def test_a_search_of_before_there_were_samples_is_found():
    """Its digest, which is in the name of its folder, is what it was."""
    text = (
        '{"fingerprint": "f", "folds": 1, "keras_tuner": "1.4.8", '
        '"max_epochs": 4, "max_trials": 5, "oracle": "random", "parallel": 3, '
        '"pictures_digest": "d", "seed": 0, "space_version": 2}'
    )

    spec = SearchSpec.model_validate_json(text)

    assert spec.rows is None
    assert spec.to_json() == text
    assert spec.digest() == hashlib.sha256(text.encode()).hexdigest()[:10]


def suggest(cache, spec, memory_limit):
    """Returns what a search of a cache is told."""
    return suggest_sample(cache, spec, divide_rows(cache, spec), memory_limit)


@pytest.mark.parametrize("folds", [1, 3])
def test_the_sample_that_is_proposed_fits(cache, divide, folds):
    """With room to spare; it can be searched on, and proposes nothing."""
    spec = SearchSpec.of(cache, folds=folds, **OPTIONS)
    limit = measure_rows(cache, 500)

    [rows] = re.findall(r"`--rows (\d+)`", suggest(cache, spec, limit))

    assert folds * int(rows) <= 250
    divide(int(rows), folds=folds)
    sampled = spec.model_copy(update={"rows": int(rows)})
    assert suggest(cache, sampled, limit) == ""


def test_nothing_is_proposed_where_nothing_helps(cache):
    """Where all fits, and where no sample with all classes would."""
    spec = SearchSpec.of(cache, **OPTIONS)
    size = measure_rows(cache, NUM_TRAIN)

    assert suggest(cache, spec, size) == ""
    assert suggest(cache, spec, size - 1) != ""
    assert suggest(cache, spec, measure_rows(cache, 6)) == ""
