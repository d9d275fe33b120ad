"""Tests for `head.evaluating.calibration_plot`."""

import dataclasses

import numpy as np
import pytest

from head.evaluating.answers import Answers
from head.evaluating.calibration_plot import draw_reliability
from head.evaluating.reliability import bin_by_confidence
from tests.head.test_plots import PNG_MAGIC
from tests.head.test_plots import boxes_of


@pytest.fixture(name="answers")
def _answers():
    """Of 300 images, too unsure of themselves by a factor of 2."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 1, 4)).astype(np.float32)
    noise = rng.gumbel(size=(300, 4))
    return Answers(
        labels=(2 * logits[:, 0] + noise).argmax(-1).astype(np.int32),
        image_ids=tuple(map(str, range(300))),
        logits_of_views=logits,
        class_names=("a", "b", "c", "d"),
        views=("plain",),
        is_end_to_end=False,
        temperature=0.5,
    )


def points_of(axes):
    """Returns confidences and accuracies as they are drawn."""
    (points,) = (line for line in axes.lines if line.get_marker() == "o")
    return points.get_data()


def test_before_and_after_are_side_by_side(answers, tmp_path):
    """Each with its bins, its error in the legend, and its histogram."""
    figure = draw_reliability(answers, tmp_path / "reliability.png")

    before, after, *histograms = figure.axes
    for axes, histogram, probabilities in (
        (before, histograms[0], answers.probabilities),
        (after, histograms[1], answers.calibrated_probabilities),
    ):
        bins = bin_by_confidence(probabilities, answers.labels)
        filled = bins.num_images > 0
        confidences, accuracies = points_of(axes)
        counts = bins.num_images[filled]
        np.testing.assert_allclose(accuracies, bins.num_right[filled] / counts)
        edges = np.flatnonzero(filled) / 15
        assert (edges <= confidences).all()
        assert (confidences <= edges + 1 / 15).all()
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert texts == ["by chance", f"calibration error {bins.error:.2%}"]
        heights = [bar.get_height() for bar in histogram.patches]
        np.testing.assert_allclose(heights, bins.num_images / 300)
    assert (before.get_title(), after.get_title()) == (
        "As trained",
        "Calibrated, temperature 0.5",
    )
    assert (tmp_path / "reliability.png").read_bytes().startswith(PNG_MAGIC)


def test_without_a_temperature_there_is_no_after(answers, tmp_path):
    """A run of before there was one is drawn as it is."""
    answers = dataclasses.replace(answers, temperature=None)

    figure = draw_reliability(answers, tmp_path / "reliability.png")

    diagram, _ = figure.axes
    assert diagram.get_title() == "As trained"


@pytest.mark.parametrize("temperature", [None, 0.5])
def test_texts_do_not_meet(answers, tmp_path, temperature):
    """Titles, legends, axes and the note are apart, and in the picture."""
    answers = dataclasses.replace(answers, temperature=temperature)

    figure = draw_reliability(answers, tmp_path / "reliability.png")

    num_panels = len(figure.axes) // 2
    texts = [
        *(axes.title for axes in figure.axes[:num_panels]),
        *(axes.get_legend() for axes in figure.axes[:num_panels]),
        *(axes.patch for axes in figure.axes),
        *(axes.xaxis.label for axes in figure.axes[num_panels:]),
        *(axes.yaxis.label for axes in figure.axes[::num_panels]),
        figure.texts[0],
    ]
    boxes = boxes_of(texts, figure)
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height


def test_the_same_answers_give_the_same_bytes(answers, tmp_path):
    """A picture changes only with what it shows."""
    paths = [tmp_path / "first.png", tmp_path / "second.png"]

    for path in paths:
        draw_reliability(answers, path)

    assert paths[0].read_bytes() == paths[1].read_bytes()
