"""Tests for `head.exporting.parity`."""

import numpy as np
import pytest

from embed.rows import Rows
from head.exporting.parity import QUANTIZED
from head.exporting.parity import TOLERANCES
from head.exporting.parity import ParityError
from head.exporting.parity import ParitySample
from head.exporting.parity import batch_size_of
from head.exporting.parity import check_parity

EXACT = TOLERANCES["float32", "float32"]
LOGITS = np.array([[4.0, 0.0], [1.0, 3.0], [2.0, 2.5]], np.float32)
SAMPLE = ParitySample(
    rows=Rows(np.zeros((3, 1, 1)), np.zeros(3, np.int32), ("a", "b", "c")),
    encoded=(b"0", b"1", b"2"),
    logits=LOGITS,
    batch_size=2,
)


def answer_plus(change):
    """Returns a model that answers the head's logits and a change."""
    changed = LOGITS + np.asarray(change, np.float32)
    return lambda encoded: changed[[int(one) for one in encoded]]


def test_a_difference_within_the_tolerance_passes():
    """It is measured over all batches, in the unit of logits."""
    parity = check_parity("x", answer_plus([[0], [0], [3e-4]]), SAMPLE, EXACT)

    assert parity.max_abs_diff == pytest.approx(3e-4, rel=1e-3)
    assert parity.tolerance == pytest.approx(4e-4)  # 1e-4 of the largest, 4.
    assert (parity.top1_agreement, parity.num_images) == (1.0, 3)


@pytest.mark.parametrize(
    "change", [[[0], [0], [5e-4]], np.nan, [[0, np.nan], [0, 0], [0, 0]]]
)
def test_a_larger_difference_is_refused(change):
    """So is what is no number."""
    with pytest.raises(ParityError, match=r"x does not answer .* not exported"):
        check_parity("x", answer_plus(change), SAMPLE, EXACT)


def test_another_first_class_is_refused():
    """However near to each other the two classes are."""
    near = ParitySample(
        SAMPLE.rows, SAMPLE.encoded, LOGITS * [[1, 1], [1, 1], [1, 0.80001]], 2
    )
    change = [[0, 0], [0, 0], [0, -0.50002]]

    with pytest.raises(ParityError, match=r"Received: .* 66\.7%"):
        check_parity("x", answer_plus(change), near, EXACT)


def test_8_bits_may_differ_by_more():
    """But not without end."""
    assert check_parity("x", answer_plus([[3.9]]), SAMPLE, QUANTIZED)

    with pytest.raises(ParityError):
        check_parity("x", answer_plus([[4.1]]), SAMPLE, QUANTIZED)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((8, 8), 32), ((224, 224), 32), ((448, 448), 8), ((4000, 4000), 1)],
)
def test_a_call_has_so_many_pixels(draw_cache, tmp_path, size, expected):
    """Large pictures go one by one, small ones 32 at a time."""
    cache = draw_cache(tmp_path / "cache.h5", image_size=size)

    assert batch_size_of(cache, ["plain", "center"]) == expected


def test_the_largest_view_says_how_many_go_into_a_call(draw_cache, tmp_path):
    """The backbone sees it at its own size, not at that of the cache."""
    cache = draw_cache(tmp_path / "cache.h5", image_size=(224, 224))

    assert batch_size_of(cache, ["plain", "scale448+flip", "scale96"]) == 8
