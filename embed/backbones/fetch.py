"""Modules by address: fetched once into the folder where TF-Hub keeps them.

    SHA1-OF-ADDRESS/                  a module, moved here when it was unpacked
    SHA1-OF-ADDRESS.descriptor.txt    its address, for people
    SHA1-OF-ADDRESS.lock              `HOST.PID.TASK` of who is fetching it
    SHA1-OF-ADDRESS.TASK.tmp/         what that one has unpacked so far

The hub takes whatever was unpacked for a module: an archive that breaks off
between two files, or a page that calls itself one, would be served for ever.
What is new here is therefore loaded once before it counts.
"""

import logging
import os
import shutil
from pathlib import Path

from embed.backbones.hub_folder import CACHE_VARIABLE
from embed.backbones.hub_folder import find_module_dir
from embed.backbones.hub_folder import is_kept
from embed.backbones.hub_folder import read_fetcher
from embed.backbones.module import import_hub
from embed.backbones.module import load_module
from embed.errors import BackboneError
from embed.network import WAYS_OUT
from embed.network import limit_silence

logger = logging.getLogger(__name__)


def fetch(address: str) -> Path:
    """Returns the directory of the module, fetched where it is not there.

    Args:
        address: TF-Hub or Kaggle address, or that of any server which answers
            `ADDRESS?tf-hub-format=compressed` by a tar archive.

    Raises:
        BackboneError: If it cannot be had; says the ways out.
    """
    directory = find_module_dir(address)
    cache_dir = directory.parent
    os.environ[CACHE_VARIABLE] = str(cache_dir)
    if is_kept(directory):
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
    fetcher = read_fetcher(lock)
    if fetcher is None:
        return
    if fetcher.may_live:
        logger.warning(
            "Waiting: process %s on %s is fetching %s. If there is no such "
            "process, delete %s.",
            fetcher.pid,
            fetcher.host,
            address,
            lock,
        )
    else:
        half = directory.with_name(f"{directory.name}.{fetcher.task}.tmp")
        shutil.rmtree(half, ignore_errors=True)
        lock.unlink(missing_ok=True)
