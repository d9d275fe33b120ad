"""Tests for `embed.claims`."""

import json
import os
import socket
import subprocess
import sys

import pytest

from embed.claims import claim_cache
from embed.claims import lock_work
from embed.errors import PipelineError


def leave_claim(folder, name, host, pid):
    """Writes what a process that was killed leaves."""
    folder.mkdir(exist_ok=True)
    facts = {"fingerprint": "f", "host": host, "pid": pid}
    (folder / f"{name}-{pid}.json").write_text(json.dumps(facts))


def find_dead_pid():
    """Returns the number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_claim_lasts_as_long_as_the_body(tiny_cache, tmp_path):
    """It names the cache, and goes with an error too."""
    folder = tmp_path / ".building"

    def claim():
        with claim_cache(folder / "one.json", tiny_cache):
            [path] = folder.iterdir()
            raise RuntimeError(json.loads(path.read_text())["fingerprint"])

    with pytest.raises(RuntimeError, match=tiny_cache.fingerprint):
        claim()

    assert list(folder.iterdir()) == []


def test_claims_of_the_dead_go_when_the_same_is_done_again(
    tiny_cache, tmp_path
):
    """Those of the living, of other machines and of other work stay."""
    folder, here = tmp_path / ".building", socket.gethostname()
    dead = find_dead_pid()
    leave_claim(folder, "one", here, dead)
    leave_claim(folder, "two", here, dead)
    leave_claim(folder, "one", here, os.getppid())
    leave_claim(folder, "one", "far.example.org", dead + 1)
    (folder / "one-.json").write_text("{")
    left = sorted(folder.iterdir())
    left.remove(folder / f"one-{dead}.json")

    with claim_cache(folder / "one.json", tiny_cache):
        pass

    assert sorted(folder.iterdir()) == left


def test_work_is_done_by_one(tmp_path):
    """The other is told at once, and may begin when the first has ended."""
    path = tmp_path / ".building" / "one.lock"

    with (
        lock_work(path, "The search one"),
        pytest.raises(PipelineError, match="The search one is being done by"),
        lock_work(path, "The search one"),
    ):
        pass
    with lock_work(path, "The search one"):
        pass

    assert list(path.parent.iterdir()) == []
