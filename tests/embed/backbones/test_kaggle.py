"""Modules of Kaggle, which no test can fetch: names, and what is kept."""

import shutil
import sys

import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.errors import BackboneError

NAME = "owner/model/tensorFlow2/small"
ADVICE = ("KAGGLEHUB_CACHE", "hub:DIR", "--preset digits")


@pytest.fixture(name="keep")
def _keep(tiny_module_dir, tmp_path, monkeypatch):
    """Puts the tiny module where kagglehub keeps a version of one."""
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))

    def keep(version, *, is_complete=True):
        directory = tmp_path / "models" / NAME / str(version)
        shutil.copytree(tiny_module_dir, directory)
        if is_complete:
            directory.with_name(f"{version}.complete").touch()

    return keep


def load(name=NAME):
    """Loads `kaggle:NAME`."""
    return load_backbone(BackboneRequest(handle=f"kaggle:{name}"))


@pytest.fixture(name="no_package")
def _no_package(monkeypatch):
    """Makes kagglehub a package that is not installed."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)


def test_a_version_that_is_kept_needs_no_network(keep):
    """It is loaded from where kagglehub put it, at its own size."""
    keep(3)

    backbone = load(f"{NAME}/3")

    assert backbone.name == f"kaggle:{NAME}/3"
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    assert backbone.embed(images).shape == (2, 4)


@pytest.mark.usefixtures("no_package")
def test_the_newest_version_that_is_kept_serves(keep):
    """What was not fetched to its end does not; the version is recorded."""
    keep(9)
    keep(10)
    keep(11, is_complete=False)
    request = BackboneRequest(handle=f"kaggle:{NAME}?range=-1,1")

    backbone = load_backbone(request)

    assert backbone.name == f"kaggle:{NAME}/10?range=-1,1"
    pinned = request.pinned(backbone)
    assert pinned.handle == backbone.name
    assert load_backbone(pinned).weights_digest == backbone.weights_digest


@pytest.mark.usefixtures("no_package", "keep")
def test_a_missing_package_is_named():
    """The message holds the command that installs it, and the ways out."""
    with pytest.raises(BackboneError, match=r"headstart\[kaggle\]") as caught:
        load()

    assert all(advice in str(caught.value) for advice in ADVICE)


@pytest.mark.usefixtures("keep")
def test_a_failure_of_kaggle_is_one_message(monkeypatch):
    """Whatever kagglehub raises becomes an error with the ways out."""
    kagglehub = pytest.importorskip("kagglehub")

    def fail(name):
        raise ConnectionError("no way\nto there")

    monkeypatch.setattr(kagglehub, "model_download", fail)

    with pytest.raises(BackboneError, match="no way") as caught:
        load()

    assert all(advice in str(caught.value) for advice in ADVICE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a/b", "a/b/c", "a//c/d", "a/b/c/d/new", "a/b/c/d/1/2"]
)
def test_other_names_are_refused(name):
    """The message shows how Kaggle names a model."""
    with pytest.raises(BackboneError, match="OWNER/MODEL/FRAMEWORK"):
        load(name)
