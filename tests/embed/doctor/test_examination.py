"""Tests for `embed.doctor.examination`."""

import dataclasses

import pytest

from embed.doctor.child import Facts
from embed.doctor.examination import Examination

FREE_BYTES = 10_000


@pytest.fixture(name="examine")
def _examine(subject):
    """Makes every check of some facts; returns the findings by name."""

    def examine(options=None, **parts):
        examination = Examination(
            Facts({name.replace("_", " "): p for name, p in parts.items()}),
            subject=dataclasses.replace(subject, **(options or {})),
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


def test_half_the_bytes_take_half_the_disk(examine):
    """30 rows of 100 bytes and 25 halves twice are 9 kB: they fit."""
    findings = examine(
        {"dtype": "float16"},
        dataset={"num_images": {"train": 30}, "urls": []},
        views={"sides": [None]},
        backbone={"urls": [], "feature_dim": 25},
    )

    assert findings["disk"].level == "ok"


def test_the_place_of_the_cache_is_looked_at(examine, tmp_path):
    """That of `--cache`, and not the folder of artifacts."""
    (tmp_path / "file").touch()
    elsewhere = examine({"cache_path": tmp_path / "file" / "a.h5"})
    folder = examine({"cache_path": tmp_path})
    good = examine({"cache_path": tmp_path / "new" / "a.h5"})

    assert elsewhere["artifacts folder"].level == "error"
    assert "--cache PATH" in elsewhere["artifacts folder"].advice
    assert folder["artifacts folder"].level == "error"
    assert good["artifacts folder"].level == "ok"


@pytest.mark.parametrize(
    ("place", "level"), [(None, "ok"), ("new", "ok"), ("file/new", "error")]
)
def test_where_a_backbone_is_kept(examine, tmp_path, place, level):
    """Of each kind its own folder; that of TF-Hub is for its modules alone."""
    (tmp_path / "file").touch()
    part = {"urls": ["https://example.com"]}
    if place:
        part["folder"] = str(tmp_path / place)
        part["variable"] = "KAGGLEHUB_CACHE"

    found = examine(
        backbone=part, hub_cache={"folder": str(tmp_path / "file" / "hub")}
    )["backbone"]

    assert found.level == level
    assert ("KAGGLEHUB_CACHE=DIR" in found.advice) == (level == "error")


def test_an_engine_that_a_build_would_refuse(examine):
    """It is refused here too, with the same words."""
    finding = examine(engines={"refusal": "The engine x does not. Take y."})

    assert finding["engine"].level == "error"
    assert finding["engine"].advice == "Take y."
