"""Tests for `embed.doctor.builds`."""

import json
import multiprocessing

import filelock
import pytest

from embed.doctor.builds import check_builds
from embed.doctor.builds import look_at_builds
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import write_drawn_cache


@pytest.fixture(name="caches_dir")
def _caches_dir(tmp_path):
    folder = tmp_path / "my artifacts" / "caches"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(name="dead_pid")
def _dead_pid():
    """The number of a process that has ended."""
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()
    return process.pid


@pytest.fixture(name="check")
def _check(caches_dir):
    folder = caches_dir.parent
    return lambda: check_builds(look_at_builds(folder), folder)


def test_a_stale_lock(check, caches_dir, dead_pid):
    """Who left it is said, that a build takes over, and how to clear up."""
    lock = caches_dir / "a-0123.h5.lock"
    lock.touch()
    owner = caches_dir / "a-0123.h5.owner"
    owner.write_text(
        json.dumps({"host": "box", "pid": dead_pid, "since": "2026-01-01"})
    )

    found = check()

    assert found.level == "warning"
    assert f"left by process {dead_pid} on box since 2026-01-01" in found.detail
    assert f"`rm '{lock}' '{owner}'`" in found.advice
    assert "takes over" in found.advice


def test_a_lock_alone_is_stale_too(check, caches_dir):
    """A process may die before it says who it is."""
    (caches_dir / "a-0123.h5.lock").touch()

    assert check().level == "warning"


def test_a_lock_that_is_held_is_none(check, caches_dir):
    """A build that goes on is said, and nothing is wrong."""
    with filelock.FileLock(caches_dir / "a-0123.h5.lock"):
        found = check()

    assert found.level == "ok"
    assert "being built" in found.detail


def test_a_build_that_was_cut_off(check, caches_dir):
    """Going on and removing are both offered."""
    folder = caches_dir / "a-0123.h5.building"
    folder.mkdir()
    (folder / "block").write_bytes(bytes(1000))

    found = check()

    assert found.level == "warning"
    assert "1 build cut off, 1.0 kB: a-0123.h5.building" in found.detail
    assert "build-cache` again" in found.advice
    command = f"prune --unfinished --artifacts '{caches_dir.parent}'`"
    assert command in found.advice


def test_a_corrupt_cache(check, caches_dir):
    """The command that says why is there."""
    path = caches_dir / "a-0123.h5"
    path.write_bytes(b"no cache")

    found = check()

    assert found.level == "warning"
    assert f"embed verify '{path}'`" in found.advice


def test_parts_of_no_cache(check, caches_dir):
    """They may be large; the command that removes them is there."""
    write_drawn_cache(caches_dir / "a.h5", max_file_bytes=PART_BYTES)
    assert check().level == "ok"
    folder = caches_dir / "a.h5.parts-2"
    folder.mkdir()
    (folder / "train-00000.h5").write_bytes(bytes(1000))

    found = check()
    with filelock.FileLock(caches_dir / "a.h5.lock"):
        during = check()

    assert found.level == "warning"
    assert "parts of no cache, 1.0 kB: a.h5.parts-2" in found.detail
    assert f"prune --artifacts '{caches_dir.parent}'`" in found.advice
    assert during.level == "ok"


def test_good_caches_are_counted(check, caches_dir):
    """Nothing is to be done."""
    write_drawn_cache(caches_dir / "a.h5", num_train=5)

    found = check()

    assert (found.level, found.advice) == ("ok", "")
    assert found.detail.startswith("1 cache, ")
