"""Tests for `head.training.moments`."""

import numpy as np
import pytest

from embed.rows import Rows
from embed.splits import Selection
from embed.stream import RowStream
from head.training.moments import compute_moments


def test_two_vectors_by_hand():
    """Of 1 and 3 the mean is 2 and the variance 1; of 5 and 5, 5 and 0."""
    features = np.array([[[1, 5], [3, 5]]], np.float32)

    moments = compute_moments(Rows(features, np.zeros(1, np.int32), ("a",)))

    assert moments.mean.tolist() == [2, 5]
    assert moments.variance.tolist() == [1, 0]


@pytest.mark.parametrize("num_images", [1, 7, 1024, 2500])
def test_pieces_add_up_to_what_numpy_computes(num_images):
    """Bit by bit, in float64, without its copies of all rows."""
    rng = np.random.default_rng(0)
    features = 1e3 + rng.normal(size=(num_images, 2, 6)).astype(np.float32)
    rows = Rows(features, np.zeros(num_images, np.int32), ("",) * num_images)

    moments = compute_moments(rows)

    np.testing.assert_array_equal(
        moments.mean, features.mean((0, 1), dtype=np.float64)
    )
    np.testing.assert_array_equal(
        moments.variance, features.var((0, 1), dtype=np.float64)
    )


def test_a_stream_gives_the_same_bits(draw_cache, tmp_path):
    """However small its chunks are."""
    cache = draw_cache(tmp_path / "tiny.h5", num_train=100)
    held = compute_moments(cache.take(Selection("train")))

    for memory_limit in (1000, 2000, 10**6):
        stream = RowStream(cache, Selection("train"), memory_limit=memory_limit)
        moments = compute_moments(stream)
        np.testing.assert_array_equal(moments.mean, held.mean)
        np.testing.assert_array_equal(moments.variance, held.variance)
