"""Prune: remove the caches that nothing made of them refers to.

Runs and searches say in `run.json` and `search.json` which cache they were
made on, comparisons in `comparison.json`, and what is not finished in a file of
its `.building` folder. A record that
cannot be read may refer to any cache, so that nothing is removed while there
is one. Caches without labels are used by their path, which no record tells:
they stay. A folder of parts goes with the last cache that refers to it, and so
does one that a killed build left.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

from embed.artifacts import CACHES
from embed.artifacts import COMPARISONS
from embed.artifacts import RUNS
from embed.artifacts import SEARCHES
from embed.artifacts import newest_first
from embed.building.folder import BUILDING
from embed.building.folder import cache_path_of
from embed.building.folder import read_place
from embed.building.lock import is_being_built
from embed.building.lock import lock_build
from embed.cache import open_damaged
from embed.console import Console
from embed.disk import count_bytes
from embed.errors import BusyCacheError
from embed.errors import PipelineError
from embed.memory import format_size
from embed.spec import CacheSpec
from embed.storage.part_folders import cache_path_of_parts
from embed.storage.part_folders import find_leftovers
from embed.storage.part_folders import is_parts_folder
from embed.storage.part_folders import measure_cache
from embed.storage.part_folders import remove_folder

RECORDS = (f"{RUNS}/*/run.json", f"{SEARCHES}/*/search.json")
UNFINISHED = (
    f"{SEARCHES}/.building/*/spec.json",
    f"{RUNS}/.building/*.json",
    f"{COMPARISONS}/.building/*/cache-*.json",
)
# Nobody's once their cache is gone; halves of files not before either.
SCRAP = re.compile(r"(.+\.h5)(\.lock|\.owner|\.part|\.stamps(\.\d+\.part)?)")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file or folder among the caches.

    Args:
        path: Where it lies.
        reason: Why it goes, or stays.
        num_bytes: Its size.
    """

    path: Path
    reason: str
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class Pruning:
    """What goes and what stays.

    Args:
        removed: What goes.
        kept: What stays.
    """

    removed: tuple[Entry, ...]
    kept: tuple[Entry, ...]

    @property
    def num_bytes(self) -> int:
        """Size of all that goes."""
        return sum(entry.num_bytes for entry in self.removed)

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints."""

        def list_entries(entries: tuple[Entry, ...]) -> list[dict[str, Any]]:
            return [
                {
                    "path": str(entry.path),
                    "reason": entry.reason,
                    "num_bytes": entry.num_bytes,
                }
                for entry in entries
            ]

        return {
            "removed": list_entries(self.removed),
            "kept": list_entries(self.kept),
            "num_bytes": self.num_bytes,
        }

    def to_text(self) -> str:
        """Returns a line for each, for people."""
        return "\n".join(
            f"{verb} {entry.path} ({format_size(entry.num_bytes)}): "
            f"{entry.reason}."
            for verb, entries in (("Keep", self.kept), ("Remove", self.removed))
            for entry in entries
        )


def plan_prune(artifacts_dir: Path, *, takes_unfinished: bool) -> Pruning:
    """Finds out what nothing refers to, and removes nothing.

    Args:
        artifacts_dir: Folder of everything written.
        takes_unfinished: Whether builds that were cut off go too.

    Raises:
        PipelineError: If a record cannot be read.
    """
    referred = set(_referred_fingerprints(artifacts_dir))
    folder = artifacts_dir / CACHES
    removed: list[Entry] = []
    kept: list[Entry] = []
    for path in newest_first(artifacts_dir, f"{CACHES}/*.h5"):
        reason, goes = _judge_cache(path, referred)
        if goes and is_being_built(path):
            reason, goes = "it is being built", False
        # Of those that go the parts are an entry of their own.
        size = count_bytes(path) if goes else measure_cache(path)
        (removed if goes else kept).append(Entry(path, reason, size))
    staying = {entry.path.name for entry in kept}
    going = [entry.path for entry in removed]
    for path in find_leftovers(folder, besides=going):
        cache_path = cache_path_of_parts(path)
        if not is_being_built(cache_path):
            reason = "no cache that stays has its features there"
            removed.append(Entry(path, reason, count_bytes(path)))
    for path in sorted(folder.glob(f"*{BUILDING}")):
        cache_path = cache_path_of(path)
        if is_being_built(cache_path):
            reason, goes = "it is being built", False
        elif takes_unfinished:
            reason, goes = "its build was cut off", True
        else:
            reason, goes = (
                "its build was cut off and can go on; remove it with "
                "`--unfinished`",
                False,
            )
        if (place := read_place(path)) != path:
            reason += f"; its blocks in {place} are left alone"
        (removed if goes else kept).append(
            Entry(path, reason, count_bytes(path))
        )
    for path in sorted(folder.glob("*.h5.*")):
        scrap = SCRAP.fullmatch(path.name)
        if scrap is None or is_being_built(path.with_name(scrap[1])):
            continue
        if scrap[1] not in staying or path.suffix == ".part":
            removed.append(Entry(path, "it is left over", count_bytes(path)))
    return Pruning(tuple(removed), tuple(kept))


def remove(pruning: Pruning) -> Pruning:
    """Removes what a pruning says, but what has come into use since.

    Returns:
        What was removed, and what stays.
    """
    removed, kept = [], list(pruning.kept)
    for entry in pruning.removed:
        if reason := _remove(entry.path):
            kept.append(dataclasses.replace(entry, reason=reason))
        else:
            removed.append(entry)
    return Pruning(tuple(removed), tuple(kept))


def _remove(path: Path) -> str:
    """Removes a file or folder, unless a build or a run has begun to use it.

    Returns:
        Why it stays, or `""`.
    """
    cache_path = _cache_path_of(path)
    try:
        with lock_build(
            cache_path, is_waiting=False, console=Console(is_quiet=True)
        ):
            if is_parts_folder(path):
                if path not in find_leftovers(path.parent, of=cache_path.name):
                    return "a cache has its features there by now"
                remove_folder(path)
            elif path.is_dir():
                shutil.rmtree(path)
            elif path != cache_path:
                path.unlink(missing_ok=True)
            elif path.exists():
                referred = set(_referred_fingerprints(path.parent.parent))
                reason, goes = _judge_cache(path, referred)
                if not goes:
                    return reason
                path.unlink()
    except BusyCacheError:
        return "it is being built"
    return ""


def _cache_path_of(path: Path) -> Path:
    """Returns the cache to which something among the caches belongs."""
    if is_parts_folder(path):
        return cache_path_of_parts(path)
    if scrap := SCRAP.fullmatch(path.name):
        return path.with_name(scrap[1])
    return cache_path_of(path)


def _judge_cache(path: Path, referred: set[str]) -> tuple[str, bool]:
    """Returns why a cache goes or stays, and whether it goes."""
    try:
        cache = open_damaged(path)
    except PipelineError:
        return "it is no cache of this version, so it may be another's", False
    if cache.fingerprint in referred:
        return "a run, a search or a comparison was made on it", False
    if not cache.spec.is_labelled:
        return (
            "its pictures have no labels, so that no run can refer to it; "
            "remove it by hand",
            False,
        )
    return "no run, search or comparison beside it was made on it", True


def _referred_fingerprints(artifacts_dir: Path) -> Iterator[str]:
    """Yields the fingerprint of each cache that something was made on."""
    for pattern in RECORDS:
        for path in artifacts_dir.glob(pattern):
            record = _read(path)
            try:
                spec = CacheSpec.model_validate(record["cache_spec"])
            except (KeyError, pydantic.ValidationError) as error:
                raise _unreadable(path) from error
            yield spec.fingerprint()
    for path in artifacts_dir.glob(f"{COMPARISONS}/*/comparison.json"):
        try:
            yield from [str(c["fingerprint"]) for c in _read(path)["caches"]]
        except (KeyError, TypeError) as error:
            raise _unreadable(path) from error
    for path in [p for u in UNFINISHED for p in artifacts_dir.glob(u)]:
        try:
            yield str(_read(path)["fingerprint"])
        except KeyError as error:
            raise _unreadable(path) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not isinstance(record, dict):
        raise _unreadable(path)
    return record


def _unreadable(path: Path) -> PipelineError:
    return PipelineError(
        f"The record {path} does not say which cache it was made on, and "
        "nothing was removed. Expected: the JSON object of a run, search or "
        f"comparison. Remove {path.parent} or mend it, then run `python -m "
        "embed prune` again."
    )
