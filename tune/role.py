"""What a process is in a search on several machines: KerasTuner's variables.

One is the chief, which hands out trials, all others are workers.

    KERASTUNER_TUNER_ID      its name; that of the chief has `chief` in it
    KERASTUNER_ORACLE_IP     where the chief is, the same for all
    KERASTUNER_ORACLE_PORT   and its port
"""

import dataclasses
import re
from collections.abc import Mapping

from embed.errors import PipelineError

TUNER_ID = "KERASTUNER_TUNER_ID"
ORACLE_IP = "KERASTUNER_ORACLE_IP"
ORACLE_PORT = "KERASTUNER_ORACLE_PORT"
VARIABLES = (ORACLE_IP, ORACLE_PORT, TUNER_ID)
CHIEF = "chief"  # KerasTuner looks for it anywhere in the name.
HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")  # IPv6 in brackets.
MAX_PORT = 65_535


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a chief is.

    Args:
        host: Name or address; one of IPv6 is in brackets.
        port: Its port; 0 for any that is free.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclasses.dataclass(frozen=True)
class Role:
    """What a process is in a search.

    Args:
        name: What it is called.
        address: Where its chief is.
    """

    name: str
    address: Address

    @property
    def is_chief(self) -> bool:
        """Whether it hands out the trials, and trains none."""
        return CHIEF in self.name

    @property
    def variables(self) -> dict[str, str]:
        """What tells KerasTuner the same."""
        return {
            ORACLE_IP: self.address.host,
            ORACLE_PORT: str(self.address.port),
            TUNER_ID: self.name,
        }


def read_role(variables: Mapping[str, str]) -> Role | None:
    """Returns what KerasTuner's variables say, `None` where none is set.

    Args:
        variables: Those of the environment.

    Raises:
        PipelineError: If only some are set, or one makes no sense.
    """
    found = {name: variables[name] for name in VARIABLES if name in variables}
    if not found:
        return None
    host, port = found.get(ORACLE_IP, ""), found.get(ORACLE_PORT, "")
    is_port = port.isdecimal() and 0 < int(port) <= MAX_PORT
    if not (found.get(TUNER_ID) and HOST.fullmatch(host) and is_port):
        received = ", ".join(f"{k}={v!r}" for k, v in found.items())
        raise PipelineError(
            "The variables of KerasTuner do not say what this process is in a "
            f"search on several machines. Expected: {ORACLE_IP}, a name or an "
            f"address such as 10.0.0.5, {ORACLE_PORT}, from 1 to {MAX_PORT}, "
            f"and {TUNER_ID}, `{CHIEF}` or the name of a worker. Received: "
            f"{received}. Set all three, or for a search on one machine "
            f"`unset {' '.join(VARIABLES)}`."
        )
    return Role(found[TUNER_ID], Address(host, int(port)))
