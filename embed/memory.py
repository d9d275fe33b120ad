"""How much memory a training may take, and how people write sizes.

A container's limit is its control group's. The kernel's own figure, and with
it `psutil`'s, is that of the whole machine.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

PREFIXES = ("", "k", "M", "G", "T")
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)(i?)B?", re.IGNORECASE)
DEFAULT_SHARE = 0.5  # Of the free memory: the rest is for all else.
ROOT = Path("/")
# By version of control groups: limit, usage, and the part of the usage that
# is the page cache's and is given back on demand.
GROUP_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}


def parse_size(text: str) -> int:
    """Returns the bytes of `500M`, `8G`, `1.5GiB` or `1000000`.

    K, M, G and T are powers of 1,000, and of 1,024 with an `i`.

    Raises:
        ValueError: If it is no size, or zero.
    """
    match = SIZE.fullmatch(text.strip())
    if match is not None:
        number, unit, binary = match.groups()
        base = 1024 if binary else 1000
        power = [p.upper() for p in PREFIXES].index(unit.upper())
        size = int(float(number) * base**power)
        if size and (unit or not binary):
            return size
    raise ValueError(
        f"{text!r} is no size. Expected: a number of bytes above 0, such as "
        "500M, 8G or 1000000."
    )


def format_size(num_bytes: int) -> str:
    """Returns `8.0 GB`, `52.8 MB` or `960 bytes`."""
    for power in range(len(PREFIXES) - 1, 0, -1):
        if num_bytes >= 1000**power:
            return f"{num_bytes / 1000**power:.1f} {PREFIXES[power]}B"
    return f"{num_bytes} bytes"


def default_limit() -> int:
    """Returns the bytes that a training may take if nothing else is said."""
    return int(DEFAULT_SHARE * free_memory())


def free_memory(root: Path = ROOT) -> int:
    """Returns the bytes that this process can still take.

    Args:
        root: Where `proc` and `sys` are.
    """
    return max(0, min([_free_of_machine(root), *_free_of_groups(root)]))


def _free_of_machine(root: Path) -> int:
    facts = _read(root / "proc" / "meminfo")
    match = re.search(r"^MemAvailable: +(\d+) kB$", facts, re.MULTILINE)
    if match is None:  # Not Linux.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(match[1]) * 1024


def _free_of_groups(root: Path) -> Iterator[int]:
    """Yields what the control groups of this process leave to it."""
    mount = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        number, controllers, group = line.split(":", 2)
        if number == "0":
            yield from _free_of_group(mount, group, GROUP_FILES[2])
        elif "memory" in controllers.split(","):
            yield from _free_of_group(mount / "memory", group, GROUP_FILES[1])


def _free_of_group(
    mount: Path, group: str, names: tuple[str, str, str]
) -> Iterator[int]:
    """Yields what a group and those around it leave, where they say so.

    In a container the path may be that of the host: then only the mount
    itself is there, and it is the container's.
    """
    inner = mount / group.lstrip("/")
    for folder in (inner, *inner.parents):
        limit, usage, reclaimable = names
        facts = [_read(folder / name) for name in (limit, usage)]
        if all(fact.strip().isdigit() for fact in facts):
            pattern = rf"^{reclaimable} (\d+)$"
            stat = _read(folder / "memory.stat")
            cached = re.search(pattern, stat, re.MULTILINE)
            yield (
                int(facts[0]) - int(facts[1]) + int(cached[1] if cached else 0)
            )
        if folder == mount:
            return


def _read(path: Path) -> str:
    """Returns the text of a file, or `""` where there is none."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
