"""Tests for `head.evaluating.evaluation` and `head.evaluating.answers`."""

import dataclasses
import json

import numpy as np
import pytest

from head.evaluating.answers import Answers
from head.evaluating.calibration import scale
from head.evaluating.evaluation import measure_answers
from head.evaluating.metrics import compute_metrics

NAMES = ("a", "b", "c", "d", "e", "f", "g")
GROUPS = {"all": np.arange(7), "few": np.array([1, 4]), "none": np.array([6])}
SHARES = {"top1", "top5", "mean_per_class", "macro_f1", "nll"}


@pytest.fixture(name="answers")
def _answers():
    """Of 90 images of six of seven classes, in two views."""
    rng = np.random.default_rng(0)
    labels = (np.arange(90) % 6).astype(np.int32)
    logits = rng.normal(size=(90, 2, 7))
    logits[np.arange(90), :, labels] += 2
    return Answers(
        labels=labels,
        image_ids=tuple(map(str, range(90))),
        logits_of_views=logits.astype(np.float32),
        class_names=NAMES,
        views=("plain", "flip"),
        is_end_to_end=False,
        temperature=0.5,
    )


@pytest.fixture(name="payload")
def _payload(answers):
    """What `--json` prints, read again."""
    return json.loads(json.dumps(measure_answers(answers, GROUPS).to_payload()))


def test_the_mean_of_the_views_is_measured(answers, payload):
    """All figures but those of one view are of the averaged logits."""
    logits = answers.logits_of_views.mean(axis=1)

    expected = dataclasses.asdict(compute_metrics(logits, answers.labels))

    assert {name: payload[name] for name in expected} == expected
    assert payload["intervals"].keys() == SHARES
    low, high = payload["ece_if_calibrated"]
    assert 0 < low < high < 1


def test_groups_are_measured_on_their_own_images(answers, payload):
    """A group without a test image is left out."""
    is_in = np.isin(answers.labels, GROUPS["few"])
    of_few = compute_metrics(answers.logits[is_in], answers.labels[is_in])

    groups = payload["groups"]

    assert list(groups) == ["all", "few"]
    for name in ("top1", "top5", "mean_per_class", "nll", "ece", "num_images"):
        assert groups["few"][name] == getattr(of_few, name)
        assert groups["all"][name] == payload[name]
    assert "macro_f1" not in groups["few"]
    assert groups["few"]["intervals"].keys() == SHARES - {"macro_f1"}
    low, high = groups["few"]["intervals"]["top1"]
    assert low <= of_few.top1 <= high


def test_every_class_is_there(answers, payload):
    """By its name; of one without images no share is made up."""
    predicted = answers.logits.argmax(-1)

    classes = payload["classes"]

    assert tuple(classes) == NAMES
    is_b = answers.labels == 1
    assert classes["b"]["top1"] == np.mean(predicted[is_b] == 1)
    assert classes["b"]["precision"] == np.mean(is_b[predicted == 1])
    assert classes["b"]["num_images"] == 15
    assert classes["g"]["top1"] is None
    assert classes["g"]["num_images"] == 0


def test_calibration_changes_likelihood_and_error_alone(answers, payload):
    """Before and after, beside the temperature."""
    scaled = compute_metrics(scale(answers.logits, 0.5), answers.labels)

    calibrated = payload["calibrated"]

    assert calibrated["temperature"] == 0.5
    assert (calibrated["nll"], calibrated["ece"]) == (scaled.nll, scaled.ece)
    assert calibrated["nll"] != payload["nll"]
    assert scaled.top1 == payload["top1"]
    low, high = calibrated["intervals"]["nll"]
    assert low < scaled.nll < high


def test_a_run_without_a_temperature_is_not_calibrated(answers):
    """It was trained before there was one."""
    answers = dataclasses.replace(answers, temperature=None)

    evaluation = measure_answers(answers, GROUPS)

    assert evaluation.to_payload()["calibrated"] is None
    assert answers.calibrated_probabilities is None


def test_two_views_are_compared_with_one(answers, payload):
    """Metric by metric, with an interval around the difference."""
    plain = compute_metrics(answers.logits_of_views[:, 0], answers.labels)

    tta = payload["tta"]

    assert tta["one_view"] == dataclasses.asdict(plain)
    for name in (*SHARES, "ece"):
        assert tta["differences"][name] == payload[name] - getattr(plain, name)
    assert tta["intervals"].keys() == SHARES
    for name in ("top1", "nll"):
        low, high = tta["intervals"][name]
        assert low <= tta["differences"][name] <= high
    assert high < 0  # Noise is averaged out: less loss, surely.


def test_one_view_is_compared_with_nothing(answers):
    """And is measured as it is in a comparison, to the last digit."""
    alone = dataclasses.replace(
        answers,
        logits_of_views=answers.logits_of_views[:, :1],
        views=("plain",),
    )

    evaluation = measure_answers(alone, GROUPS)

    assert evaluation.comparison is None
    assert evaluation.to_payload()["tta"] is None
    both = measure_answers(answers, GROUPS).comparison
    assert evaluation.metrics == both.one_view
