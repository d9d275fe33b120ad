"""The folder where TF-Hub modules are kept: what is whole, what is left."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embed.disk import count_bytes
from embed.doctor.check import Finding
from embed.doctor.check import count
from embed.doctor.check import fail
from embed.doctor.check import warn
from embed.memory import format_size

# See `embed.backbones.fetch` for what lies there.
MODULE = re.compile(r"[0-9a-f]{40}")
DESCRIPTOR, LOCK, HALF = ".descriptor.txt", ".lock", ".tmp"
SHARD = re.compile(r"variables\.data-\d+-of-(\d+)")


def look_at_hub_cache(backbone: str) -> dict[str, Any]:
    """Returns each module that is kept, and what is left of others.

    Args:
        backbone: Handle of the one that is asked for.
    """
    from embed.backbones.hub_folder import find_folder
    from embed.backbones.hub_folder import find_module_dir

    folder = find_folder()
    address = find_address(backbone)
    chosen = find_module_dir(address) if address else None
    modules = [
        {
            "path": str(path),
            "num_bytes": count_bytes(path),
            "faults": list(_find_faults(path)),
            "is_chosen": path == chosen,
        }
        for path in sorted(folder.glob("*"))
        if MODULE.fullmatch(path.name) and path.is_dir()
    ]
    return {
        "folder": str(folder),
        "modules": modules,
        "leftovers": [
            *(str(p) for p in _find(folder, HALF) if not _is_busy(p)),
            *(str(p) for p in _find(folder, LOCK) if not _is_held(p)),
        ],
    }


def find_address(backbone: str) -> str:
    """Returns the address of a handle, `""` for what is not fetched by one."""
    from embed.backbones.handle import HUB
    from embed.backbones.handle import parse_handle

    handle = parse_handle(backbone)
    is_address = handle.kind == HUB and "://" in handle.place
    return handle.place if is_address else ""


def check_hub_cache(facts: dict[str, Any], problem: str = "") -> Finding:
    """Reports modules that are not whole, and what was left of fetches.

    Args:
        facts: What `look_at_hub_cache` found.
        problem: What the loading of the backbone met, or `""`: names do not
            tell of a file that was cut short.
    """
    modules = [
        {**module, "faults": ["it cannot be loaded"]}
        if module["path"] in problem and not module["faults"]
        else module
        for module in facts["modules"]
    ]
    bad = [module for module in modules if module["faults"]]
    size = format_size(sum(module["num_bytes"] for module in modules))
    kept = f"{count(len(modules), 'module')}, {size}, in {facts['folder']}"
    problems = [
        f"{m['path']} is corrupt: {', '.join(m['faults'])}" for m in bad
    ]
    leftovers = facts["leftovers"]
    if leftovers:
        problems.append(
            f"{count(len(leftovers), 'file')} left of fetches that were cut off"
        )
    if not problems:
        return Finding(kept)
    paths = [p for m in bad for p in (m["path"], m["path"] + DESCRIPTOR)]
    advice = f"`rm -rf {shlex.join([*paths, *leftovers])}`"
    if bad:
        advice += "; what is needed is fetched again"
    is_fatal = any(module["is_chosen"] for module in bad)
    judge = fail if is_fatal else warn
    return judge(f"{'; '.join(problems)} ({kept})", advice)


def _find(folder: Path, suffix: str) -> list[Path]:
    """Returns what the hub put beside its modules; never what others did."""
    return [
        path
        for path in sorted(folder.glob(f"*{suffix}"))
        if MODULE.fullmatch(path.name.partition(".")[0])
    ]


def _find_faults(directory: Path) -> Iterator[str]:
    """Yields why a folder is no whole SavedModel, as far as names tell."""
    from embed.backbones.module import SAVED_MODEL_FILES

    for name in SAVED_MODEL_FILES:
        path = directory / name
        if not path.is_file():
            yield f"no {name}"
        elif not path.stat().st_size:
            yield f"{name} is empty"
    shards = [
        (path, int(match[1]))
        for path in directory.glob("variables/variables.data-*")
        if (match := SHARD.fullmatch(path.name))
    ]
    if not shards:
        yield "no variables/variables.data-*"
    elif len(shards) != shards[0][1]:
        yield f"{len(shards)} of {shards[0][1]} files of variables"
    for path, _ in shards:
        if not path.stat().st_size:
            yield f"variables/{path.name} is empty"


def _is_held(lock: Path) -> bool:
    """Tells whether whoever locked a module may be fetching it."""
    from embed.backbones.hub_folder import read_fetcher

    fetcher = read_fetcher(lock)
    return fetcher is not None and fetcher.may_live


def _is_busy(half: Path) -> bool:
    """Tells whether a half is of a fetch that goes on: `NAME.TASK.tmp`."""
    from embed.backbones.hub_folder import read_fetcher

    lock = half.with_name(half.name.partition(".")[0] + LOCK)
    task = half.name.removesuffix(HALF).rpartition(".")[2]
    fetcher = read_fetcher(lock)
    return fetcher is not None and fetcher.task == task and fetcher.may_live
