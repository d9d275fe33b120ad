"""Tests for `head.predicting.neighbours`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.errors import CorruptCacheError
from embed.splits import Selection
from head.predicting import neighbours
from head.predicting.neighbours import Neighbour
from head.predicting.neighbours import TrainingPictures
from tests.drawn_caches import change_bytes
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of

NOTHING = 0  # Bytes: every cache is larger.


@pytest.fixture(name="cache")
def _cache(draw_cache, tmp_path):
    """60 training pictures of 8 features and 2 views."""
    return draw_cache(tmp_path / "drawn.h5")


def search(cache, features, count):
    """Returns rows and cosines, by the definition."""
    vectors = cache.take(Selection("train")).features[:, 0].astype(np.float64)
    cosines = features @ vectors.T
    cosines /= np.linalg.norm(features, axis=1)[:, None]
    cosines /= np.linalg.norm(vectors, axis=1)
    rows = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(cosines, rows, 1)


@given(seed=st.integers(0, 99), count=st.integers(1, 70))
@pytest.mark.parametrize("memory_limit", [None, NOTHING])
def test_neighbours_are_those_of_largest_cosine(
    tmp_path_factory, draw_cache, memory_limit, seed, count
):
    """In memory and from the file alike, as many as there are at most."""
    cache = draw_cache(
        tmp_path_factory.mktemp("cache") / "a.h5", num_train=40, seed=seed
    )
    features = np.random.default_rng(seed).normal(size=(5, 8))

    found = TrainingPictures(cache, memory_limit=memory_limit).find_nearest(
        features.astype(np.float32), count
    )

    rows, cosines = search(cache, features, count)
    ids, labels = cache.image_ids("train"), cache.labels("train")
    for of_picture, expected, values in zip(found, rows, cosines, strict=True):
        assert [n.image_id for n in of_picture] == [ids[r] for r in expected]
        assert [n.class_name for n in of_picture] == [
            cache.spec.class_names[labels[row]] for row in expected
        ]
        np.testing.assert_allclose(
            [n.similarity for n in of_picture], values, atol=1e-6
        )


@pytest.mark.parametrize("piece_rows", [1, 7, 60])
def test_pieces_change_nothing(cache, monkeypatch, piece_rows):
    """However many rows are compared at a time."""
    features = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    rows, _ = search(cache, features, 9)
    monkeypatch.setattr(neighbours, "PIECE_ROWS", piece_rows)

    found = TrainingPictures(cache).find_nearest(features, 9)

    ids = cache.image_ids("train")
    assert [[n.image_id for n in one] for one in found] == [
        [ids[row] for row in of_picture] for of_picture in rows
    ]


def test_a_training_picture_is_its_own_nearest(cache):
    """Whatever the length of its vector; by view 0, and not by its mirror."""
    features = cache.take(Selection("train")).features

    found = TrainingPictures(cache).find_nearest(100 * features[:, 0], 1)

    ids = cache.image_ids("train")
    assert [n.image_id for (n,) in found] == list(ids)
    np.testing.assert_allclose([n.similarity for (n,) in found], 1, atol=1e-6)
    assert max(n.similarity for (n,) in found) <= 1


def test_of_equals_the_first_row_comes_first(cache, monkeypatch):
    """Everything is as similar to nothing: rows come in their order."""
    monkeypatch.setattr(neighbours, "PIECE_ROWS", 7)

    (found,) = TrainingPictures(cache).find_nearest(np.zeros((1, 8)), 10)

    assert [n.image_id for n in found] == list(cache.image_ids("train")[:10])
    assert {n.similarity for n in found} == {0.0}


def test_a_larger_cache_is_read_for_many_pictures_at_once(cache):
    """What is held in memory answers sooner."""
    held = TrainingPictures(cache, memory_limit=60 * 8 * 4)
    streamed = TrainingPictures(cache, memory_limit=60 * 8 * 4 - 1)

    assert held.num_queries < streamed.num_queries


def test_a_damaged_row_is_refused(cache):
    """No neighbour is named by other features than were written."""
    column = cache.seal.columns["train"]["features"]
    change_bytes(cache.path, *place_of(column, 7, 7), flip_a_bit)

    with pytest.raises(CorruptCacheError):
        TrainingPictures(cache)


def test_a_neighbour_in_words():
    """Its id, its class and how similar it is."""
    text = str(Neighbour("cat/01.jpg", "cat", 0.987))

    assert text == "cat/01.jpg (cat, 0.99)"
