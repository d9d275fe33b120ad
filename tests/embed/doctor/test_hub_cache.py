"""Tests for `embed.doctor.hub_cache`."""

import hashlib
import os
import shlex
import shutil
import socket

import pytest

from embed.doctor.hub_cache import check_hub_cache
from embed.doctor.hub_cache import look_at_hub_cache

ADDRESS = "https://example.com/module/1"
BACKBONE = f"hub:{ADDRESS}"
NAME = hashlib.sha1(ADDRESS.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture(name="hub_dir")
def _hub_dir(tmp_path, monkeypatch):
    folder = tmp_path / "hub of mine"
    folder.mkdir()
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(name="module_dir")
def _module_dir(hub_dir, tiny_module_dir):
    """The tiny module, where the hub keeps it."""
    shutil.copytree(tiny_module_dir, hub_dir / NAME)
    return hub_dir / NAME


def check(backbone=BACKBONE):
    """Looks and judges, as the command does in two processes."""
    return check_hub_cache(look_at_hub_cache(backbone))


@pytest.mark.usefixtures("module_dir")
def test_a_whole_module():
    """Its size is said, and nothing is to be done."""
    found = check()

    assert (found.level, found.advice) == ("ok", "")
    assert found.detail.startswith("1 module, ")


@pytest.mark.parametrize(
    ("name", "size", "fault"),
    [
        ("saved_model.pb", None, "no saved_model.pb"),
        ("saved_model.pb", 0, "saved_model.pb is empty"),
        ("variables/variables.index", None, "no variables/variables.index"),
        ("variables/variables.data-00000-of-00001", None, "no variables/vari"),
        ("variables/variables.data-00000-of-00001", 0, "is empty"),
    ],
)
def test_a_corrupt_module(module_dir, name, size, fault):
    """The one that is asked for stops a build; the command removes it."""
    path = module_dir / name
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)

    found = check()

    assert found.level == "error"
    assert fault in found.detail
    paths = shlex.join([str(module_dir), f"{module_dir}.descriptor.txt"])
    assert f"`rm -rf {paths}`" in found.advice


def test_a_module_that_was_cut_short(module_dir):
    """Its names are all there: that it cannot be loaded, tells."""
    problem = f"The SavedModel {module_dir} cannot be loaded: it is too short."

    found = check_hub_cache(look_at_hub_cache(BACKBONE), problem)

    assert found.level == "error"
    assert f"{module_dir} is corrupt: it cannot be loaded" in found.detail
    assert f"`rm -rf '{module_dir}' " in found.advice


def test_another_module_stops_nothing(module_dir):
    """What is corrupt and not asked for is a warning."""
    (module_dir / "saved_model.pb").unlink()

    assert check("keras:MobileNetV2").level == "warning"


def test_what_a_killed_fetch_left(hub_dir):
    """Its lock and its half go; those of one that goes on do not."""
    dead, live = NAME[::-1], NAME
    for name, pid in ((dead, 2**22 + 1), (live, os.getpid())):
        lock = hub_dir / f"{name}.lock"
        lock.write_text(f"{socket.gethostname()}.{pid}.task-{name[:4]}")
        (hub_dir / f"{name}.task-{name[:4]}.tmp").mkdir()

    found = check()

    assert found.level == "warning"
    assert f"{hub_dir}/{dead}.lock" in found.advice
    assert f"{hub_dir}/{dead}.task-{dead[:4]}.tmp" in found.advice
    assert live not in found.advice


def test_files_of_others_are_not_named(hub_dir):
    """What does not begin with the name of a module is nobody's to remove."""
    (hub_dir / "poetry.lock").touch()
    (hub_dir / "thesis.tmp").mkdir()

    assert check().level == "ok"


def test_no_folder(hub_dir):
    """Nothing was ever fetched: that is no fault."""
    hub_dir.rmdir()

    assert check().level == "ok"
