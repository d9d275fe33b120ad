"""Tests for `embed.building.lock`."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time

import filelock
import pytest

from embed.building.lock import is_being_built
from embed.building.lock import lock_build
from embed.console import Console
from embed.errors import BusyCacheError
from embed.provenance import host_name
from tests.conftest import ROOT
from tests.drawn_caches import files_in

HOLDER = """
import sys
from pathlib import Path
from embed.console import Console
from embed.building.lock import lock_build
with lock_build(Path(sys.argv[1]), is_waiting=False, console=Console()):
    print("held", flush=True)
    sys.stdin.read()
"""
TIMEOUT_SECONDS = 30
BROKEN_SECONDS = 3  # `filelock` removes what it cannot read after 2.


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "cache.h5"


@pytest.fixture(name="lock_path")
def _lock_path(path):
    return path.with_name("cache.h5.lock")


@pytest.fixture(name="holder")
def _holder(path):
    """Another process that holds the lock until its stdin is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def lock(path, *, is_waiting=False, console=None):
    """Locks with fewer words."""
    return lock_build(
        path, is_waiting=is_waiting, console=console or Console(is_quiet=True)
    )


@pytest.fixture(name="owner_path")
def _owner_path(path):
    return path.with_name("cache.h5.owner")


def test_a_lock_says_by_whom_it_is_held(path, lock_path, owner_path):
    """Host, process and time, for others to read, beside the lock."""
    with lock(path) as has_waited:
        owner = json.loads(owner_path.read_text())
        assert lock_path.exists()

    assert has_waited is False
    assert owner["host"] == host_name()
    assert owner["pid"] == os.getpid()
    assert "T" in owner["since"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_of_a_lock(path, error):
    """Neither after a build, nor after one that failed."""
    with lock(path):
        pass
    with pytest.raises(error), lock(path):
        raise error

    assert list(path.parent.iterdir()) == []
    with lock(path) as has_waited:
        assert has_waited is False


def test_a_lock_holds_for_all_links_to_a_cache(path, tmp_path):
    """Files and folders: both builders would write to the same place."""
    path.touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path)
    links = [
        tmp_path / "elsewhere" / "link.h5",
        tmp_path / "folder" / path.name,
    ]
    links[0].symlink_to(path)

    for held, other in ((path, links[0]), (links[0], path), (path, links[1])):
        with lock(held):
            assert is_being_built(other)
            with (
                pytest.raises(BusyCacheError, match=f"process {os.getpid()}"),
                lock(other),
            ):
                pass
    assert files_in(tmp_path) == ["cache.h5", "elsewhere", "folder"]
    assert files_in(tmp_path / "elsewhere") == ["link.h5"]


def test_the_lock_of_another_user_is_held(path, lock_path, monkeypatch):
    """As far as can be told: it cannot even be opened."""
    lock_path.touch()

    def refuse(lock, **_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)

    assert is_being_built(path)


def test_a_second_builder_is_told_who_is_at_it(path, holder):
    """Host, process, since when and what to do; the holder goes on."""
    with (
        pytest.raises(
            BusyCacheError,
            match=rf"{path} is being built by process {holder.pid} on "
            rf"{host_name()} since \d.* Wait until .*`--wait`",
        ),
        lock(path),
    ):
        pass

    assert is_being_built(path)
    assert holder.poll() is None


def test_a_holder_that_says_nothing_is_another_process(path, lock_path):
    """A lock file that cannot be read is a lock all the same."""
    with filelock.FileLock(lock_path):
        with (
            pytest.raises(BusyCacheError, match="built by another process"),
            lock(path),
        ):
            pass


def test_waiting_ends_when_the_holder_does(path, holder, capsys):
    """Who waits is told for whom, and then that there was another."""
    timer = threading.Timer(1, holder.stdin.close)
    timer.start()

    with lock(path, is_waiting=True, console=Console()) as has_waited:
        said = capsys.readouterr().err

    timer.join()
    assert has_waited is True
    assert said.count(f"Waiting for process {holder.pid} on") == 1
    assert "ended early" not in said


def test_a_killed_holder_does_not_hold(
    path, lock_path, owner_path, holder, capsys
):
    """The system frees its lock; who takes over says so."""
    holder.kill()
    holder.wait(TIMEOUT_SECONDS)
    assert lock_path.exists()
    assert owner_path.exists()
    assert not is_being_built(path)

    with lock(path, console=Console()) as has_waited:
        owner = json.loads(owner_path.read_text())

    assert has_waited is False
    assert owner["pid"] == os.getpid()
    assert (
        f"Taking over from process {holder.pid} on" in capsys.readouterr().err
    )


def test_is_being_built(path, lock_path):
    """Only a held lock says so, and asking leaves no file behind."""
    before = is_being_built(path)
    with lock(path):
        during = is_being_built(path)

    assert (before, during, is_being_built(path)) == (False, True, False)
    assert not lock_path.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", '{"pid": 1}', "\x00"])
def test_senseless_lock_files_do_not_hold(path, lock_path, owner_path, text):
    """A file that nobody holds is no lock, whatever stands in it."""
    lock_path.write_text(text)
    owner_path.write_text(text)

    with lock(path) as has_waited:
        assert has_waited is False

    assert list(path.parent.iterdir()) == []


@pytest.fixture(name="no_flock")
def _no_flock(monkeypatch):
    """A file system that has no locks, as some network shares."""

    def fail(descriptor, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", fail)


@pytest.mark.usefixtures("no_flock")
@pytest.mark.filterwarnings("ignore::UserWarning")  # Of filelock, once.
def test_a_lock_holds_on_a_file_system_without_locks(path):
    """Its file stands for it, however long others look at it."""
    times = []

    def wait():
        with lock(path, is_waiting=True):
            times.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    with lock(path):
        waiting.start()
        time.sleep(BROKEN_SECONDS)
        with (
            pytest.raises(
                BusyCacheError, match=rf"process {os.getpid()} on .*`--wait`"
            ),
            lock(path),
        ):
            pass
        assert is_being_built(path)
        released = time.monotonic()
    waiting.join(TIMEOUT_SECONDS)

    (entered,) = times
    assert entered > released
    assert list(path.parent.iterdir()) == []
