"""What builds left among the caches: locks, halves, damaged files."""

import shlex
from pathlib import Path
from typing import Any

from embed.doctor.check import Finding
from embed.doctor.check import count
from embed.doctor.check import warn
from embed.memory import format_size

SUFFIXES = (".lock", ".owner")  # Of the file that is locked, and who by.


def look_at_builds(artifacts_dir: Path) -> dict[str, Any]:
    """Returns the locks that nobody holds, and what is not finished."""
    from embed.artifacts import CACHES
    from embed.building.lock import is_being_built
    from embed.building.lock import read_owner
    from embed.disk import count_bytes
    from embed.storage.part_folders import cache_path_of_parts
    from embed.storage.part_folders import find_leftovers
    from embed.upkeep.listing import list_caches

    stale: dict[str, str] = {}
    busy: dict[str, str] = {}
    for suffix in SUFFIXES:
        for path in sorted((artifacts_dir / CACHES).glob(f"*.h5{suffix}")):
            cache_path = path.with_name(path.name.removesuffix(suffix))
            is_busy = is_being_built(cache_path)
            found = busy if is_busy else stale
            found[str(path)] = read_owner(cache_path)
    parts = [
        path
        for path in find_leftovers(artifacts_dir / CACHES)
        if not is_being_built(cache_path_of_parts(path))
    ]
    rows = list_caches(artifacts_dir)
    return {
        "num_caches": sum(row["status"] == "complete" for row in rows),
        "stale_locks": stale,
        "busy_locks": busy,
        "unfinished": [r for r in rows if r["status"].startswith("unfinished")],
        "leftover_parts": {str(path): count_bytes(path) for path in parts},
        "unusable": [row for row in rows if row["status"] == "unusable"],
    }


def check_builds(facts: dict[str, Any], artifacts_dir: Path) -> Finding:
    """Reports what was left; a build goes on in spite of all of it."""
    problems, advice = [], []
    if stale := facts["stale_locks"]:
        owners = sorted({owner for owner in stale.values() if owner})
        by = f" by {', '.join(owners)}" if owners else ""
        problems.append(f"{count(len(stale), 'stale lock file')}, left{by}")
        advice.append(
            "the next build takes over by itself; to clear up, run "
            f"`rm {shlex.join(stale)}`"
        )
    if unfinished := facts["unfinished"]:
        size = format_size(sum(row["num_bytes"] for row in unfinished))
        names = ", ".join(
            f"{Path(row['cache']).name} ({row['status']})" for row in unfinished
        )
        problems.append(
            f"{count(len(unfinished), 'build')} cut off, {size}: {names}"
        )
        advice.append(
            "run the same `python -m embed build-cache` again to go on, or "
            "`python -m embed prune --unfinished --artifacts "
            f"{shlex.quote(str(artifacts_dir))}` to remove them"
        )
    if parts := facts["leftover_parts"]:
        size = format_size(sum(parts.values()))
        names = ", ".join(Path(path).name for path in parts)
        problems.append(f"parts of no cache, {size}: {names}")
        advice.append(
            "`python -m embed prune --artifacts "
            f"{shlex.quote(str(artifacts_dir))}` removes them, and caches that "
            "nothing refers to; see `--dry-run`"
        )
    for row in facts["unusable"]:
        problems.append(f"{Path(row['cache']).name} cannot be used")
        cache = shlex.quote(row["cache"])
        advice.append(f"`python -m embed verify {cache}` says why")
    busy = {
        owner or "another process" for owner in facts["busy_locks"].values()
    }
    working = [f"being built by {owner}" for owner in sorted(busy)]
    if problems:
        text = "; ".join(advice)
        return warn(
            "; ".join([*problems, *working]), text[0].upper() + text[1:]
        )
    return Finding(
        "; ".join(
            [f"{count(facts['num_caches'], 'cache')}, none half done", *working]
        )
    )
