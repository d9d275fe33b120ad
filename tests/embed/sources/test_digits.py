"""Tests for `embed.sources.digits`."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from embed.images import ImageDecoder
from embed.sources.digits import DigitsSource


@pytest.fixture(name="source", scope="module")
def _source():
    return DigitsSource()


def test_every_digit_is_there_once(source):
    """1,797 digits in ten classes, about a fifth of them for test."""
    ids = [i for index in source.splits.values() for i in index.image_ids]

    assert sorted(ids) == [f"digit-{number:04}" for number in range(1797)]
    assert source.class_names == tuple("0123456789")
    assert 300 < len(source.splits["test"].labels) < 420


def test_labels_are_those_of_scikit_learn(source):
    """The id is the row number in `load_digits`."""
    target = load_digits().target

    for index in source.splits.values():
        rows = [int(i.removeprefix("digit-")) for i in index.image_ids]
        np.testing.assert_array_equal(index.labels, target[rows])


def test_pictures_are_the_digits(source):
    """Decoded at 8 x 8, a picture is the digit's levels over 16."""
    index = source.splits["test"]
    rows = [0, 5, len(index.labels) - 1]
    numbers = [int(index.image_ids[row].removeprefix("digit-")) for row in rows]
    expected = load_digits().images[numbers] / 16

    decode = ImageDecoder((8, 8))
    decoded = [decode(p.encoded) for p in source.read("test", rows)]

    for channel in range(3):
        pixels = np.stack(decoded)[..., channel]
        np.testing.assert_allclose(pixels, expected, atol=0.5 / 255 + 1e-6)


def test_the_same_every_time(source):
    """Two openings list the same rows and hand out the same bytes."""
    again = DigitsSource()

    for split, index in source.splits.items():
        assert again.splits[split].image_ids == index.image_ids
    assert list(again.read("train", [3])) == list(source.read("train", [3]))


def test_only_reading_tells(source):
    """Digits lie in no files that a stamp could be taken of."""
    assert source.stamps("train") is None
