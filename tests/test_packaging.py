"""What is declared, what is locked and what is installed are one thing."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKED_EXTRAS = (
    "dev",
    "cpu",
    "export",
    "distributed",
    "s3",
)  # As in the Makefile.
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
DIGEST = re.compile(r" +--hash=sha256:[0-9a-f]{64}( \\)?")


def declared(*extras: str) -> dict[str, Requirement]:
    """Returns requirements by name: the base, then those of `extras`."""
    lines = PROJECT["dependencies"] + [r for e in extras for r in EXTRAS[e]]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r for r in requirements}


def locked(name: str) -> dict[str, set[str]]:
    """Returns the versions by package name that a lock holds.

    There are several where platforms or Pythons need different ones.
    """
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text("utf-8").splitlines():
        if line and not DIGEST.fullmatch(line):
            pin = Requirement(line.removesuffix("\\"))
            (version,) = (specifier.version for specifier in pin.specifier)
            versions.setdefault(canonicalize_name(pin.name), set()).add(version)
    return versions


def unmet(requirements: dict[str, Requirement], lock: str) -> list[str]:
    """Returns the requirements that the versions of a lock do not meet."""
    versions = locked(lock)
    return [
        str(requirement)
        for name, requirement in requirements.items()
        if not versions.get(name)
        or not all(map(requirement.specifier.contains, versions[name]))
    ]


@pytest.mark.parametrize("name", ["tensorboard", "importlib-resources"])
def test_what_dependencies_forget_is_declared(name):
    """KerasTuner and TFDS import packages that they do not require."""
    assert name in declared()


def test_setuptools_still_has_pkg_resources():
    """tensorflow_hub imports pkg_resources, which setuptools 82 dropped."""
    specifier = declared()["setuptools"].specifier

    assert specifier.contains("81.0.0")
    assert not specifier.contains("82.0.0")


def test_the_lock_holds_every_dependency_it_installs():
    """`make test` installs what pyproject.toml asks for, at that version."""
    assert unmet(declared(*LOCKED_EXTRAS), "dev.txt") == []


def test_the_constraints_hold_every_extra():
    """Whichever extra is chosen, its version has been fixed."""
    assert unmet(declared(*EXTRAS), "constraints.txt") == []


def test_lock_and_constraints_agree():
    """What is tested here is what the constraints give to users."""
    constraints = locked("constraints.txt")
    differing = {
        name: (versions, constraints.get(name))
        for name, versions in locked("dev.txt").items()
        if not versions <= constraints.get(name, set())
    }

    assert differing == {}


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_locks_hold_names_versions_and_digests_only(path):
    """No lock says where packages are served, nor sets an option of pip."""
    lines = path.read_text("utf-8").splitlines()
    strange = [
        line
        for line in lines
        if "://" in line
        or (line.lstrip()[:1] == "-" and not DIGEST.match(line))
    ]

    assert lines
    assert strange == []


def test_every_package_goes_into_the_wheel():
    """A new subpackage is found without being listed anywhere."""
    include = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    found = find_packages(str(ROOT), include=include)
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("embed", "head", "tune")
        for path in (ROOT / package).rglob("*.py")
    }

    assert set(found) == there


def test_the_installed_version_is_the_declared_one():
    """The version has one source, pyproject.toml."""
    assert importlib.metadata.version("headstart") == PROJECT["version"]
