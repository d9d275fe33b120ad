"""Tests for `embed.doctor.examination`."""

import pytest

from embed.doctor.child import Facts
from embed.doctor.examination import Examination

FREE_BYTES = 10_000


@pytest.fixture(name="examine")
def _examine(tmp_path):
    """Makes every check of some facts; returns the findings by name."""

    def examine(**parts):
        examination = Examination(
            Facts({name.replace("_", " "): p for name, p in parts.items()}),
            artifacts_dir=tmp_path / "artifacts",
            free_memory=10**12,
            count_free=lambda folder: FREE_BYTES,
        )
        return {check.name: check.finding for check in examination.run()}

    return examine


def test_nothing_known_takes_nothing_down(examine):
    """Every check is there, and what needs no probe was found out."""
    findings = examine()

    assert findings["python"].level == "ok"
    assert findings["artifacts folder"].level == "ok"
    assert findings["gpu"].level == "warning"
    assert findings["gpu"].detail.startswith("not known")
    assert findings["imports"].level == "error"


def test_a_check_that_raises_is_a_finding(examine):
    """Others are made all the same, and it says that it could not be."""
    findings = examine(devices={"nonsense": True}, datasets=None)

    assert "could not be checked: KeyError" in findings["gpu"].detail
    assert findings["python"].level == "ok"


def test_what_is_wrong_is_said_once(examine):
    """Checks that need a dataset that is refused refer to its own."""
    findings = examine(
        dataset={"error": "There is no folder birds. Give another."},
        backbone={"urls": []},
    )

    assert findings["dataset"].level == "error"
    assert findings["dataset"].detail == "There is no folder birds"
    assert findings["dataset"].advice == "Give another."
    assert findings["disk"].detail == "not known: see dataset"


def test_settings_of_keras(examine):
    """Another backend is an error that names where it is set."""
    findings = examine(
        keras={
            "backend": "jax",
            "floatx": "float32",
            "image_data_format": "channels_last",
        }
    )

    assert findings["keras settings"].level == "error"
    assert findings["keras settings"].detail == "backend is jax"
    assert "KERAS_BACKEND" in findings["keras settings"].advice


@pytest.mark.parametrize(
    ("installed", "candidates", "level", "words"),
    [
        (("litert", "tensorflow"), ("litert", "tensorflow"), "ok", "fastest"),
        (("litert", "tensorflow"), ("tensorflow",), "ok", "there is a GPU"),
        (("tensorflow",), ("tensorflow",), "warning", "not installed: litert"),
    ],
)
def test_which_engine_and_why(examine, installed, candidates, level, words):
    """A GPU, a trial, or what alone is there."""
    finding = examine(
        engines={
            "known": ["litert", "tensorflow"],
            "installed": list(installed),
            "candidates": list(candidates),
            "failed": {},
        }
    )["engine"]

    assert finding.level == level
    assert words in finding.detail


@pytest.mark.parametrize(("num_images", "level"), [(20, "ok"), (30, "error")])
def test_a_disk_too_small_for_the_build(examine, num_images, level):
    """Twice 30 rows of 100 bytes and 25 features are 12 kB, 10 are free."""
    findings = examine(
        dataset={"num_images": {"train": num_images}, "urls": []},
        views={"sides": [None]},
        backbone={"urls": [], "feature_dim": 25},
    )

    assert findings["disk"].level == level
    assert ("--artifacts DIR" in findings["disk"].advice) == (level == "error")
    assert findings["memory"].level == "ok"
