"""The machine that figures are of: its processor, and what is installed."""

import importlib.metadata
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embed.devices import num_cpu_threads

CPU_FACTS = Path("/proc/cpuinfo")  # Linux; elsewhere less is known.
PACKAGES = ("tensorflow", "keras", "numpy")


def describe_machine() -> dict[str, Any]:
    """Returns what the processor is and has."""
    text = CPU_FACTS.read_text("utf-8") if CPU_FACTS.exists() else ""
    facts = dict(re.findall(r"^([^\t:]+?)\s*: (.*)$", text, re.MULTILINE))
    flags = facts.get("flags", "").split()
    return {
        "cpu": facts.get("model name", platform.processor()),
        "cores": num_cpu_threads(),
        "has_amx": "amx_tile" in flags,
        "has_avx512_bf16": "avx512_bf16" in flags,
    }


def list_versions(packages: Sequence[str]) -> dict[str, str]:
    """Returns the versions of Python, of what all use, and of `packages`."""
    versions = {"python": platform.python_version()}
    for name in (*PACKAGES, *packages):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
