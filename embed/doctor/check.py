"""What a check found: how bad it is, and what to do."""

import dataclasses
from typing import Any
from typing import Literal

# A build would fail, would not but could do better, or all is well.
Level = Literal["error", "warning", "ok"]

MARK = ". "  # What is wrong comes first in our errors, then the advice.


class UnknownError(Exception):
    """What a check needs to know could not be found out."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        detail: What there is.
        advice: A command or an action; `""` where nothing is to be done.
        level: `error` where a build would fail.
    """

    detail: str
    advice: str = ""
    level: Level = "ok"


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the examination.

    Args:
        name: What was looked at.
        finding: What was found.
    """

    name: str
    finding: Finding

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "name": self.name,
            "ok": self.finding.level == "ok",
            "level": self.finding.level,
            "detail": self.finding.detail,
            "advice": self.finding.advice,
        }


def warn(detail: str, advice: str) -> Finding:
    """Returns the finding that something is better seen to."""
    return Finding(detail, advice, "warning")


def fail(detail: str, advice: str) -> Finding:
    """Returns the finding that a build would fail."""
    return Finding(detail, advice, "error")


def refuse(problem: str) -> Finding:
    """Returns the finding of an error that a build would end with."""
    detail, _, advice = problem.partition(MARK)
    return fail(detail, advice or "See to it and run the doctor again.")


def count(number: int, noun: str) -> str:
    """Returns `1 view` or `2 views`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
