"""Tests for `head.exporting.score`."""

import dataclasses

import pytest

from head.exporting.parity import ParityError
from head.exporting.score import Score
from head.exporting.score import check_score

SCORE = Score(
    top1=0.9,
    head_top1=0.9,
    reference="head",
    top1_agreement=1.0,
    max_probability_diff=9e-4,
    num_images=1_000,
    num_test=3_000,
    milliseconds=5.0,
)


def check(is_quantized=False, **changes):
    """Checks a score that differs in some figures."""
    scored = dataclasses.replace(SCORE, **changes)
    check_score("onnx", scored, is_quantized=is_quantized)


def test_float_formats_agree_in_every_first_class_and_probability():
    """100 % of the classes, and 1e-3 of probability."""
    check()

    with pytest.raises(ParityError, match=r"Expected: 100% .* 1,000 test"):
        check(top1_agreement=0.999)
    with pytest.raises(ParityError, match=r"Received: 100\.00% and 1\.1e-03"):
        check(max_probability_diff=1.1e-3)
    with pytest.raises(ParityError):
        check(max_probability_diff=float("nan"))


def test_of_8_bits_accuracy_alone_counts():
    """Two points less pass, and any gain; more does not."""
    far = {"top1_agreement": 0.9, "max_probability_diff": 0.7}
    check(is_quantized=True, top1=0.8801, **far)
    check(is_quantized=True, top1=0.95, **far)

    with pytest.raises(ParityError, match="at most 2 points less"):
        check(is_quantized=True, top1=0.8799, **far)
