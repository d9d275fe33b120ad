"""Tests for `head.evaluating.evaluation_table`."""

import dataclasses

import numpy as np
import pytest

from head.evaluating.answers import Answers
from head.evaluating.evaluation import measure_answers
from head.evaluating.evaluation_table import format_evaluation

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")


@pytest.fixture(name="answers")
def _answers():
    """Of 70 images; of the class with number n, n of ten are wrong."""
    labels = np.repeat(np.arange(7), 10).astype(np.int32)
    is_wrong = np.tile(np.arange(10), 7) < labels
    predicted = np.where(is_wrong, (labels + 1) % 7, labels)
    logits = 3 * np.eye(7, dtype=np.float32)[predicted]
    return Answers(
        labels=labels,
        image_ids=tuple(map(str, range(70))),
        logits_of_views=logits[:, None],
        class_names=NAMES,
        views=("plain",),
        is_end_to_end=False,
        temperature=1.25,
    )


def lay_out(answers):
    """Returns the lines of the tables."""
    groups = {"all": np.arange(7), "insects": np.array([0, 1])}
    payload = measure_answers(answers, groups).to_payload()
    return format_evaluation(payload).splitlines()


def test_groups_come_first(answers):
    """With accuracy, interval and number of images, in columns."""
    lines = lay_out(answers)

    assert lines[0].split() == [
        *("test", "images", "top-1", "95%", "interval", "images")
    ]
    assert lines[1].split()[:2] == ["all", "70.00%"]
    assert lines[2].split()[:2] == ["insects", "95.00%"]
    assert lines[2].split()[-1] == "20"
    assert len({len(line) for line in lines[:3]}) == 1


def test_the_worst_classes_are_named(answers):
    """Five of them, the worst first."""
    (line,) = [x for x in lay_out(answers) if x.startswith("least accurate")]

    assert line == (
        "least accurate: gnu 40.00%, fox 50.00%, eel 60.00%, dog 70.00%, "
        "cat 80.00%"
    )


def test_before_and_after_calibration_are_side_by_side(answers):
    """The temperature heads the column of what it changes."""
    lines = lay_out(answers)

    assert any(line.endswith("temperature 1.25") for line in lines)
    (error,) = [x for x in lines if x.startswith("calibration error")]
    assert error.count("%") == 2
    (recall,) = [x for x in lines if x.startswith("mean per class")]
    assert recall.split()[3:] == ["70.00%", *recall.split()[4:]]


def test_a_run_without_a_temperature_has_no_such_column(answers):
    """Nor are there figures of what was not done."""
    lines = lay_out(dataclasses.replace(answers, temperature=None))

    assert not any("temperature" in line for line in lines)
    (error,) = [x for x in lines if x.startswith("calibration error")]
    assert error.count("%") == 1


def test_five_classes_have_no_top5():
    """It is 1, and says nothing."""
    answers = Answers(
        labels=np.arange(5, dtype=np.int32),
        image_ids=tuple("abcde"),
        logits_of_views=np.eye(5, dtype=np.float32)[:, None],
        class_names=NAMES[:5],
        views=("plain",),
        is_end_to_end=False,
        temperature=None,
    )
    payload = measure_answers(answers, {"all": np.arange(5)}).to_payload()

    text = format_evaluation(payload)

    assert payload["top5"] == 1
    assert "top-5" not in text
    assert "least accurate" not in text
