"""Tests for `embed.doctor.child`."""

import sys

import pytest

from embed.doctor.check import UnknownError
from embed.doctor.child import run_probe
from embed.doctor.installation import check_imports

CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"


@pytest.fixture(name="plant")
def _plant(tmp_path, monkeypatch):
    """Puts a module in front of the real one."""

    def plant(name, text):
        (tmp_path / "planted").mkdir()
        (tmp_path / "planted" / f"{name}.py").write_text(text)
        monkeypatch.setattr(sys, "path", [str(tmp_path / "planted"), *sys.path])

    return plant


def test_a_crash_is_told_from_where_it_happened(plant, subject):
    """A library that kills its process does not kill the doctor."""
    plant("tensorflow", CRASH)

    facts = run_probe(subject)
    finding = check_imports(facts)

    assert facts.end == "was ended by SIGSEGV at the import of tensorflow"
    assert finding.level == "error"
    assert "SIGSEGV at the import of tensorflow" in finding.detail
    with pytest.raises(UnknownError, match="SIGSEGV"):
        facts.get("devices")
    with pytest.raises(UnknownError, match="SIGSEGV"):
        facts.urls()


def test_a_child_that_hangs_is_given_up(plant, subject, monkeypatch):
    """Where it hung is said."""
    monkeypatch.setattr("embed.doctor.child.TIME_OUT_SECONDS", 3.0)
    plant("h5py", "import time\ntime.sleep(100)\n")

    facts = run_probe(subject)

    assert facts.end == "took longer than 3 s at the import of h5py"
