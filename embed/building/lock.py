"""One builder of a cache at a time; the others wait or leave.

`NAME.h5.lock` is locked while a cache is built, and `NAME.h5.owner` says by
whom, as JSON with `host`, `pid` and `since`. The system frees the lock of a
process that dies, so that a file alone holds nobody up. They are two since
`filelock` writes into its own where a file system has no locks. They lie where
the cache is written: beside the file that a link leads to.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from embed.console import Console
from embed.errors import BusyCacheError
from embed.provenance import host_name
from embed.provenance import now

POLL_SECONDS = 0.5


@contextlib.contextmanager
def lock_build(
    path: Path, *, is_waiting: bool, console: Console
) -> Iterator[bool]:
    """Lets one process build a cache, by whatever link it is named.

    Args:
        path: Of the cache.
        is_waiting: Whether to wait for another builder, or to leave.
        console: Where remarks go.

    Yields:
        Whether there was another builder to wait for.

    Raises:
        BusyCacheError: If another process is building it and nobody waits.
    """
    lock_path = _beside(path, ".lock")
    lock = filelock.FileLock(lock_path, blocking=False)
    has_waited = _acquire(lock, path, is_waiting, console)
    owner_path = _beside(path, ".owner")
    try:
        if (dead := read_owner(path)) and not has_waited:
            console.say(f"Taking over from {dead}, which ended early.")
        owner = {"host": host_name(), "pid": os.getpid(), "since": now()}
        owner_path.write_text(json.dumps(owner))
        yield has_waited
    finally:
        owner_path.unlink(missing_ok=True)
        lock_path.unlink(missing_ok=True)  # Before the release: nobody's yet.
        lock.release()


def is_being_built(path: Path) -> bool:
    """Tells whether a process holds the lock of a cache.

    Of another user's, which cannot be opened, it is taken to be so.
    """
    lock_path = _beside(path, ".lock")
    if not lock_path.exists():
        return False
    lock = filelock.FileLock(lock_path, blocking=False)
    try:
        lock.acquire()
    except (filelock.Timeout, PermissionError):
        return True
    lock.release()
    return False


def read_owner(path: Path) -> str:
    """Returns who builds a cache, in words, or `""`."""
    try:
        owner = json.loads(_beside(path, ".owner").read_text())
        return (
            f"process {owner['pid']} on {owner['host']} since {owner['since']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _acquire(
    lock: filelock.BaseFileLock,
    path: Path,
    is_waiting: bool,
    console: Console,
) -> bool:
    """Acquires a lock and tells whether that took waiting."""
    said = ""
    while True:
        try:
            lock.acquire()
        except filelock.Timeout as error:
            owner = read_owner(path) or "another process"
            if not is_waiting:
                raise BusyCacheError(
                    f"The cache {path} is being built by {owner}. Wait until "
                    "it has finished and run the command again, or give it "
                    "`--wait`."
                ) from error
            if owner != said:
                console.say(f"Waiting for {owner}, which builds {path}.")
                said = owner
            time.sleep(POLL_SECONDS)
        else:
            return bool(said)


def _beside(path: Path, suffix: str) -> Path:
    """Returns a file beside a cache itself, not beside a link to it."""
    return Path(os.path.realpath(path) + suffix)
