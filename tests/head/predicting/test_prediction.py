"""Tests for `head.predicting.prediction`."""

import numpy as np
import pytest

from head.predicting.neighbours import Neighbour
from head.predicting.prediction import Prediction
from head.predicting.prediction import printable

NAMES = ("cat", "dog", "été")


@pytest.fixture(name="prediction")
def _prediction():
    """A dog, of which it is not very sure."""
    return Prediction(
        path="a.jpg",
        probabilities=np.array([0.25, 0.625, 0.125]),
        neighbours=(Neighbour("dog/1.jpg", "dog", 0.5),),
    )


def test_programs_get_the_most_probable_classes_first(prediction):
    """The first of them once more by itself, and the neighbours."""
    assert prediction.to_payload(NAMES, 2) == {
        "path": "a.jpg",
        "class": "dog",
        "probability": 0.625,
        "top": [
            {"class": "dog", "probability": 0.625},
            {"class": "cat", "probability": 0.25},
        ],
        "neighbours": [
            {"image_id": "dog/1.jpg", "class": "dog", "similarity": 0.5}
        ],
    }


def test_no_more_classes_are_named_than_there_are(prediction):
    """Ten of three are three."""
    assert len(prediction.to_payload(NAMES, 10)["top"]) == 3


def test_of_equals_the_first_class_comes_first():
    """As in an evaluation."""
    prediction = Prediction("a.jpg", probabilities=np.array([0.2, 0.4, 0.4]))

    payload = prediction.to_payload(NAMES, 3)

    assert [one["class"] for one in payload["top"]] == ["dog", "été", "cat"]


def test_a_failure_is_a_path_and_a_reason():
    """And nothing that looks like an answer."""
    prediction = Prediction("a.jpg", problem="the file is empty")

    assert prediction.to_payload(NAMES, 3) == {
        "path": "a.jpg",
        "reason": "the file is empty",
    }


def test_people_get_a_line_and_one_for_the_neighbours(prediction):
    """Classes begin in the same column."""
    assert prediction.to_text(NAMES, 2, width=8) == (
        "a.jpg     dog 62.5 %, cat 25.0 %\n          like dog/1.jpg (dog, 0.50)"
    )


@pytest.mark.parametrize("name", ["a\nb", "a\x1bb", "a\udcffb", "a\u2028b"])
def test_no_name_breaks_a_line(name):
    """Nor steers the terminal, nor fails to be encoded."""
    assert printable(name) == "a\N{REPLACEMENT CHARACTER}b"
    assert printable("été 1.jpg") == "été 1.jpg"
