"""Tests for `head.report.duplicates`."""

import dataclasses
import shutil

import numpy as np
import pytest

from embed.building.request import BuildRequest
from embed.extract import build_cache
from embed.splits import Selection
from head.report.duplicates import LEAST_SIMILARITY
from head.report.duplicates import PLAIN_SIMILARITY
from head.report.duplicates import find_duplicates


def test_a_picture_of_both_splits_is_found(
    tiny_request, picture_folder, tmp_path
):
    """The same file twice comes first, whatever its label; no other does."""
    shutil.copy(
        picture_folder / "train" / "cat" / "03.png",
        picture_folder / "test" / "dog" / "copy.png",
    )
    cache = build_cache(tiny_request, artifacts_dir=tmp_path / "a").cache

    duplicates = find_duplicates(cache)

    first, *others = duplicates.pairs
    assert cache.image_ids("test")[first.test_row] == "dog/copy.png"
    assert cache.image_ids("train")[first.train_row] == "cat/03.png"
    assert first.is_same_file
    assert first.similarity == pytest.approx(1.0)
    assert not any(pair.is_same_file for pair in others)
    assert first in duplicates.close


def test_each_test_picture_has_its_nearest(draw_cache, tmp_path):
    """By the cosine of centred first views, over all training pictures."""
    cache = draw_cache(tmp_path / "points.h5", num_train=600)
    train, test = (
        cache.take(Selection(split)).features[:, 0]
        for split in ("train", "test")
    )
    unit_train, unit_test = (
        centred / np.linalg.norm(centred, axis=1, keepdims=True)
        for centred in (train - train.mean(0), test - train.mean(0))
    )
    similarities = unit_test @ unit_train.T

    pairs = find_duplicates(cache).pairs

    assert sorted(pair.test_row for pair in pairs) == list(range(len(test)))
    found = [pair.similarity for pair in pairs]
    assert found == sorted(found, reverse=True)
    for pair in pairs:
        assert pair.train_row == similarities[pair.test_row].argmax()
        assert pair.similarity == pytest.approx(
            similarities[pair.test_row].max(), abs=1e-6
        )


def test_mirror_images_say_what_is_close(tiny_cache):
    """As similar as 19 of 20 test pictures are to their mirrors."""
    mean = tiny_cache.take(Selection("train")).features[:, 0].mean(axis=0)
    features = tiny_cache.take(Selection("test")).features - mean
    unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
    usual = np.quantile((unit[:, 0] * unit[:, 1]).sum(-1), 0.05)

    duplicates = find_duplicates(tiny_cache)

    assert duplicates.threshold == pytest.approx(
        max(usual, LEAST_SIMILARITY), abs=1e-6
    )
    assert duplicates.is_of_mirrors == (usual >= LEAST_SIMILARITY)


@pytest.mark.parametrize("is_alike", [True, False])
def test_mirrors_unlike_their_pictures_say_nothing(
    draw_cache, tmp_path, is_alike
):
    """The least figure stands in then, and is not said to be theirs."""
    cache = draw_cache(tmp_path / "points.h5")
    read = type(cache).read_rows

    def read_mirrored(cache, *args):
        for start, stored in read(cache, *args):
            sign = 1 if is_alike else -1
            stored.features[:, 1] = sign * stored.features[:, 0]
            yield start, stored

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(cache), "read_rows", read_mirrored)
        duplicates = find_duplicates(cache)

    assert duplicates.is_of_mirrors == is_alike
    assert (duplicates.threshold > LEAST_SIMILARITY) == is_alike


def test_without_mirrors_a_fixed_figure_says_it(tiny_request, tmp_path):
    """A cache of plain views has a threshold too."""
    request = dataclasses.replace(tiny_request, views=("plain",))
    assert isinstance(request, BuildRequest)
    cache = build_cache(request, artifacts_dir=tmp_path / "a").cache

    duplicates = find_duplicates(cache)

    assert duplicates.threshold == PLAIN_SIMILARITY
    assert not duplicates.is_of_mirrors


def test_a_large_test_split_is_sampled(draw_cache, tmp_path):
    """The same pictures every time."""
    cache = draw_cache(tmp_path / "points.h5")

    once, again = (find_duplicates(cache, max_test_images=9) for _ in range(2))

    assert len(once.pairs) == 9
    assert once == again
