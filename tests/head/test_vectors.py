"""Tests for `head.vectors`."""

import numpy as np
import pytest

from head.vectors import find_mean
from head.vectors import scale_to_unit


def test_vectors_become_one_long_and_zeros_stay():
    """The direction stays what it is, and so does the precision."""
    vectors = np.array([[3, 4], [0, 0]], np.float32)

    unit = scale_to_unit(vectors)

    assert unit.tolist() == [[np.float32(0.6), np.float32(0.8)], [0, 0]]
    assert unit.dtype == np.float32


@pytest.mark.parametrize("size", [1, 3, 7])
def test_the_mean_does_not_depend_on_the_pieces(size):
    """Rows in pieces of any size have the mean that they have together."""
    rows = np.arange(14, dtype=np.float16).reshape(7, 2)
    pieces = [rows[start : start + size] for start in range(0, 7, size)]

    assert find_mean(pieces, 2).tolist() == [6, 7]
    assert find_mean([], 2).tolist() == [0, 0]
