"""The machine that figures are of: its processor, and what is installed."""

import dataclasses
import importlib.metadata
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embed.devices import num_cpu_threads

CPU_FACTS = Path("/proc/cpuinfo")  # Linux; elsewhere less is known.
CPU_TIMES = Path("/proc/stat")
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


@dataclasses.dataclass(frozen=True)
class ProcessorTime:
    """What a virtual machine did with its processors since it was started.

    Args:
        used: Time in which one ran, in ticks.
        stolen: Time in which one would have run, had the host not run
            something else on it (`steal` of proc_stat(5)).
    """

    used: int = 0
    stolen: int = 0

    @classmethod
    def read(cls) -> "ProcessorTime":
        """Returns that of now; nothing where it cannot be known."""
        if not CPU_TIMES.exists():
            return cls()
        text, *_ = CPU_TIMES.read_text("ascii").splitlines()
        user, nice, system, _, _, irq, softirq, stolen = map(
            int, text.split()[1:9]
        )
        return cls(user + nice + system + irq + softirq, stolen)

    def stolen_since(self, earlier: "ProcessorTime") -> float:
        """Returns the share of what was asked for since that was stolen."""
        stolen = self.stolen - earlier.stolen
        asked = self.used - earlier.used + stolen
        return stolen / asked if asked else 0.0


def list_versions(packages: Sequence[str]) -> dict[str, str]:
    """Returns the versions of Python, of what all use, and of `packages`."""
    versions = {"python": platform.python_version()}
    for name in (*PACKAGES, *packages):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
