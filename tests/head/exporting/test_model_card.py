"""Tests for `head.exporting.model_card`."""

import pytest

from head.evaluating.evaluate import evaluate
from head.exporting.model_card import format_card
from head.exporting.model_card import format_table
from head.exporting.model_card import write_card
from head.exporting.score import Score
from head.refit import train_run
from head.spec import HeadSpec

SPEC = HeadSpec(epochs=2, others=(HeadSpec(epochs=1),))
PARITY = {"max_abs_diff": 1e-5, "top1_agreement": 1.0, "num_images": 60}
SCORE = Score(
    top1=0.9,
    head_top1=0.905,
    reference="head",
    top1_agreement=0.97,
    max_probability_diff=0.4,
    num_images=20,
    num_test=30,
    milliseconds=2.34,
)


@pytest.fixture(name="cache")
def _cache(draw_cache, tmp_path):
    """Clouds of points, as if of pictures."""
    return draw_cache(tmp_path / "cache.h5")


@pytest.fixture(name="write")
def _write(cache, tmp_path):
    """Writes the card of an ensemble; takes whether it has the mirror."""
    run = train_run(cache, SPEC, seed=3, artifacts_dir=tmp_path)

    def write(*, is_averaged):
        evaluation = evaluate(run, cache, is_averaged=is_averaged)
        return write_card("model", run, cache, evaluation), evaluation

    return write


def test_a_card_has_data_weights_licence_accuracy_and_limits(write, cache):
    """With the very figures that `head evaluate` has."""
    card, evaluation = write(is_averaged=False)

    for heading in ("Data", "Weights", "Accuracy", "Limits"):
        assert f"\n## {heading}\n" in card
    low, high = evaluation.of_groups["all"].intervals["top1"]
    for part in (
        "# model\n",
        "which of 3 classes",
        "2 dense heads",
        "`tfds:tiny_set` 1.0.0",
        "60 pictures to train on",
        "30 pictures to test on",
        "`keras:Tiny`",
        "unknown: look at the source",
        cache.spec.weights_digest,
        "seed 3",
        f"{evaluation.metrics.top1:.2%} | {low:.2%} to {high:.2%} |     30",
        f"calibration error: {evaluation.metrics.ece:.2%}",
        f"{evaluation.calibrated.metrics.ece:.2%} with logits",
    ):
        assert part in card
    assert "mirror" not in card


def test_a_card_says_that_the_mirror_is_averaged(write):
    """And its accuracy is that of both views."""
    card, evaluation = write(is_averaged=True)

    assert "mirror" in card
    assert f"{evaluation.metrics.top1:.2%}" in card


def test_the_table_has_a_row_a_format_in_a_fixed_order(write):
    """The stitched model first, formats of before with what is known."""
    scored = {**PARITY, "num_bytes": 2_500_000, "test": vars(SCORE)}
    record = {"onnx": scored, "keras": PARITY, "stitched": PARITY}
    card, _ = write(is_averaged=False)

    table = format_table(record)
    whole = format_card(card, record, SCORE)

    _, rule, *rows = table.splitlines()
    assert set(rule) == set("|-:")
    assert [row.split()[1] for row in rows] == ["stitched", "keras", "onnx"]
    cells = [cell.strip() for cell in rows[2].split("|")[1:-1]]
    assert cells == [
        *("onnx", "model.onnx", "2.5", "2.3", "90.00%", "97.00%"),
        *("4.0e-01", "1.0e-05"),
    ]
    assert whole.startswith(card)
    assert table in whole
    assert "On 20 of 30 test pictures the head has 90.50%" in whole
    assert "- onnx: ONNX Runtime" in whole
    assert "OpenVINO" not in whole
