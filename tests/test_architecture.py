"""The layout of the project: what may import, call and contain what."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {"embed": set(), "head": {"embed"}, "tune": {"embed", "head"}}
MAX_LINES = 300  # More is a room too large to know (STYLE).
NAMES_THAT_SAY_NOTHING = {
    "common",
    "helper",
    "helpers",
    "misc",
    "util",
    "utils",
}
# Folders that only one machine has; relative paths and addresses may go on.
MACHINE_PATH = re.compile(r"(?<![\w.~})-])/(work|farm|root|home|tmp)/\w")
# Versions are fixed by name and digest, wherever a machine gets them from.
REGISTRY = re.compile(
    r"index[-_]url|find[-_]links|registry\s*="
    r"|https?://[^\s\"'`]*(\.whl|/simple)\b|https?://[^\s/\"'`]*pypi"
)


def modules() -> list[Path]:
    """Returns every module of the three packages."""
    return [
        path
        for package in MAY_IMPORT
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


def imported_modules(path: Path) -> Iterator[str]:
    """Yields the dotted name of every module that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def imported_packages(path: Path) -> set[str]:
    """Returns the top-level name of every module that a file imports."""
    return {name.split(".")[0] for name in imported_modules(path)}


def calls_on_hp(path: Path) -> Iterator[int]:
    """Yields the line of every `hp.something(...)` in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "hp"
        ):
            yield node.lineno


def project_files() -> list[Path]:
    """Returns every file that is in git or would be added to it."""
    # Continuous integration checks out as one user and tests as another.
    git = ["git", "-c", "safe.directory=*"]
    listing = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in paths if path.is_file()]


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    """Returns `file:line: text` of every match in the project's files."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in project_files()
        for number, line in enumerate(
            path.read_text("utf-8", errors="replace").splitlines(), start=1
        )
        if pattern.search(line)
    ]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_downwards(package):
    """`embed` knows nothing of `head`, and neither knows of `tune`."""
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    for path in (ROOT / package).rglob("*.py"):
        assert forbidden.isdisjoint(imported_packages(path)), path


def test_one_module_knows_hdf5():
    """Only `embed/storage/hdf5.py` imports h5py: nothing else parses a file."""
    users = [path for path in modules() if "h5py" in imported_packages(path)]

    assert users == [ROOT / "embed" / "storage" / "hdf5.py"]


def test_one_module_defines_the_search_space():
    """Only `tune/space.py` calls `hp.*`, so that the space is in one place."""
    callers = [path for path in modules() if any(calls_on_hp(path))]

    assert callers == [ROOT / "tune" / "space.py"]


def test_modules_are_short():
    """No module of the packages is longer than 300 lines."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for path in modules()
    }

    assert {n: k for n, k in lengths.items() if k > MAX_LINES} == {}


def test_names_say_what_a_module_is_for():
    """No module is a drawer for whatever fits nowhere else."""
    drawers = [
        path
        for path in modules()
        if NAMES_THAT_SAY_NOTHING & {path.stem, path.parent.name}
    ]

    assert drawers == []


def test_no_file_names_a_folder_of_one_machine():
    """The project works wherever it is checked out."""
    assert lines_that_match(MACHINE_PATH) == []


def test_no_file_names_a_package_registry():
    """Packages come from wherever pip is told to look, never from a file."""
    assert lines_that_match(REGISTRY) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_PATH, "cd " + "/".join(["", "root", "checkout"])),
        (MACHINE_PATH, '"' + "/".join(["", "tmp", "x"]) + '"'),
        (REGISTRY, "--extra-index" + "-url x"),
        (REGISTRY, "https:" + "//files.example/keras-3.whl"),
    ],
)
def test_the_patterns_find_what_they_forbid(pattern, text):
    """A pattern that finds nothing would make its test pass for ever."""
    assert pattern.search(text)
