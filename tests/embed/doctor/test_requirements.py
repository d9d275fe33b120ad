"""Tests for `embed.doctor.requirements`."""

import json

import pytest

from embed.doctor.requirements import REASONS
from embed.doctor.requirements import check_others
from embed.doctor.requirements import check_package
from embed.doctor.requirements import check_python

PROGRAM = """
import dataclasses, json, sys
from embed.doctor.requirements import check_others, check_package
name = sys.argv[1]
finding = check_others() if name == "others" else check_package(name)
print(json.dumps(dataclasses.asdict(finding)))
"""


@pytest.fixture(name="look")
def _look(make_site, run_python):
    """Checks a package of an installation with a fault."""

    def look(name, **fault):
        done = run_python(make_site(**fault), "-c", PROGRAM, name)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return look


def test_an_old_numpy(look):
    """Both versions are named, and the command that mends it."""
    found = look("numpy", versions={"numpy": "1.26.4"})

    assert found["level"] == "error"
    assert found["detail"] == "numpy 1.26.4, where >=2 is needed"
    assert "pip install 'numpy>=2'" in found["advice"]


def test_a_setuptools_without_pkg_resources(look):
    """Version 82 dropped it; why that matters is said."""
    found = look(
        "setuptools", without="pkg_resources", versions={"setuptools": "82.0.0"}
    )

    assert found["level"] == "error"
    assert found["detail"] == "setuptools 82.0.0, where <82 is needed"
    assert "pip install 'setuptools<82'" in found["advice"]
    assert "tensorflow_hub imports pkg_resources" in found["advice"]


def test_pkg_resources_removed_by_hand(look):
    """The right version does not help where the package is not there."""
    found = look("setuptools", without="pkg_resources")

    assert found["level"] == "error"
    assert found["detail"] == "setuptools has no pkg_resources"


def test_no_tensorboard(look):
    """That it is not installed is an error, though no build imports it."""
    found = look("tensorboard", without="tensorboard.*")

    assert found["level"] == "error"
    assert found["detail"] == "tensorboard is not installed"
    assert "pip install 'tensorboard>=2.19'" in found["advice"]


def test_keras_2_beside_a_new_tensorflow(look):
    """The combination is refused by the part of it that is wrong."""
    found = look("keras", versions={"keras": "2.15.0"})

    assert found["level"] == "error"
    assert "keras 2.15.0, where" in found["detail"]
    assert "pip install 'keras" in found["advice"]


def test_others_are_reported_together(look):
    """One command installs all that is missing."""
    found = look("others", without="(h5py|filelock)-.*")

    assert found["level"] == "error"
    assert "h5py is not installed" in found["detail"]
    assert "filelock is not installed" in found["detail"]
    assert "'filelock>=" in found["advice"]
    assert "'h5py>=" in found["advice"]


def test_this_installation_is_good():
    """The tests run on what the project asks for."""
    findings = [check_python(), check_others(), *map(check_package, REASONS)]

    assert [finding.advice for finding in findings] == [""] * len(findings)
