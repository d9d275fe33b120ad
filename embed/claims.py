"""Who is at work on what: caches that are needed, work that is being done."""

import contextlib
import glob
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from embed.artifacts import make_folder
from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.console import Console
from embed.errors import PipelineError
from embed.process import may_live


@contextlib.contextmanager
def claim_cache(marker: Path, cache: FeatureCache) -> Iterator[None]:
    """Tells `embed prune` that a cache is needed, until the body ends.

    Args:
        marker: JSON file in a `.building` folder, of which each process has
            its own; that of a killed one stays until the same is done again.
        cache: What is needed.
    """
    make_folder(marker.parent)
    for other in marker.parent.glob(f"{glob.escape(marker.stem)}-*.json"):
        if _is_of_the_dead(other):
            other.unlink(missing_ok=True)
    own = marker.with_stem(f"{marker.stem}-{os.getpid()}")
    facts = {"host": socket.gethostname(), "pid": os.getpid()}
    write_text(own, json.dumps({"fingerprint": cache.fingerprint, **facts}))
    try:
        yield
    finally:
        own.unlink(missing_ok=True)


def _is_of_the_dead(marker: Path) -> bool:
    try:
        facts = json.loads(marker.read_text("utf-8"))
        return not may_live(facts["host"], facts["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def lock_work(
    lock_path: Path, subject: str, *, waiting: Console | None = None
) -> Iterator[None]:
    """Lets one process do some work; a dead one's lock is free.

    Args:
        lock_path: Of an empty file.
        subject: What is being done, e.g. `"The search searches/a"`.
        waiting: Is told where another process is doing it, which is waited for
            then; default: nobody waits.

    Raises:
        PipelineError: If another process is doing it and nobody waits.
    """
    lock_path.parent.mkdir(exist_ok=True)
    lock = filelock.FileLock(lock_path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        if waiting is None:
            raise PipelineError(
                f"{subject} is being done by another process. Wait until it "
                "has finished and run the command again."
            ) from error
        waiting.say(f"Waiting: {subject} is being done by another process.")
        lock.acquire()
    try:
        yield
    finally:
        lock_path.unlink(missing_ok=True)  # Before the release: nobody's yet.
        lock.release()
