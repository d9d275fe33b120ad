"""Modules by address: fetched once into the folder where TF-Hub keeps them.

    SHA1-OF-ADDRESS/                  a module, moved here when it was unpacked
    SHA1-OF-ADDRESS.descriptor.txt    its address, for people
    SHA1-OF-ADDRESS.lock              `HOST.PID.TASK` of who is fetching it
    SHA1-OF-ADDRESS.TASK.tmp/         what that one has unpacked so far

The hub takes whatever was unpacked for a module: an archive that breaks off
between two files, or a page that calls itself one, would be served for ever.
What is new here is therefore loaded once before it counts.
"""

import hashlib
import logging
import os
import shutil
import socket
from pathlib import Path

from embed.backbones.module import import_hub
from embed.backbones.module import load_module
from embed.errors import BackboneError
from embed.network import WAYS_OUT
from embed.network import limit_silence

CACHE_VARIABLE = "TFHUB_CACHE_DIR"
DEFAULT_CACHE = "~/.cache/tfhub_modules"  # The hub's own, in /tmp, gets swept.

logger = logging.getLogger(__name__)


def fetch(address: str) -> Path:
    """Returns the directory of the module, fetched where it is not there.

    Args:
        address: TF-Hub or Kaggle address, or that of any server which answers
            `ADDRESS?tf-hub-format=compressed` by a tar archive.

    Raises:
        BackboneError: If it cannot be had; says the ways out.
    """
    cache_dir = Path(os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE)
    cache_dir = cache_dir.expanduser().absolute()
    os.environ[CACHE_VARIABLE] = str(cache_dir)
    name = hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    directory = cache_dir / name
    if directory.is_dir() and any(directory.iterdir()):
        return directory
    _release_lock_of_the_dead(directory, address)
    try:
        with limit_silence():
            directory = Path(import_hub().resolve(address))
        load_module(directory, advice="It was removed.")
    except Exception as error:  # urllib, tarfile and the hub raise anything.
        detail = str(error).rstrip(".")
        if not isinstance(error, BackboneError):
            detail = f"{type(error).__name__}: {detail}"
        elif directory.parent == cache_dir:
            shutil.rmtree(directory, ignore_errors=True)
        raise BackboneError(
            f"The module {address} could not be fetched: {detail}. {WAYS_OUT}"
        ) from error
    return directory


def _release_lock_of_the_dead(directory: Path, address: str) -> None:
    """Frees a module whose fetching was killed; the hub waits ten minutes."""
    lock = directory.with_name(f"{directory.name}.lock")
    try:
        host, pid, task = lock.read_text("utf-8").rsplit(".", 2)
        is_dead = host == socket.gethostname() and not _is_alive(int(pid))
    except (OSError, ValueError):
        return
    if is_dead:
        half = directory.with_name(f"{directory.name}.{task}.tmp")
        shutil.rmtree(half, ignore_errors=True)
        lock.unlink(missing_ok=True)
    else:
        logger.warning(
            "Waiting: process %s on %s is fetching %s. If there is no such "
            "process, delete %s.",
            pid,
            host,
            address,
            lock,
        )


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # Elsewhere `os.kill` ends what it asks.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # Alive, and another user's.
    return True
