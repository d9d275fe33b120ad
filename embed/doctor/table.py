"""The checks as a table for people."""

import re
import shutil
import textwrap
from collections.abc import Sequence

from embed.doctor.check import Check

MARKS = {"ok": "✓", "warning": "!", "error": "✗"}
WIDEST = 100  # Characters: longer lines are hard to read.
ADVICE = "→ "
COMMAND = re.compile(r"`[^`]+`")
HARD_SPACE = "\0"  # Where no line is broken.


def format_table(checks: Sequence[Check]) -> str:
    """Returns a line a check, the advice below each that is not ok."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    indent = max(len(check.name) for check in checks) + 4
    lines = []
    for check in checks:
        finding = check.finding
        head = f"{MARKS[finding.level]} {check.name}".ljust(indent)
        lines += _wrap(finding.detail, head, " " * indent, width)
        if finding.advice:
            start = " " * indent + ADVICE
            lines += _wrap(finding.advice, start, " " * len(start), width)
    return "\n".join(lines)


def summarize(checks: Sequence[Check]) -> str:
    """Returns what came of the checks, in one line."""
    errors = _names(checks, "error")
    warnings = _names(checks, "warning")
    if errors:
        return f"A build would fail: {', '.join(errors)}."
    if warnings:
        return f"A build would work. Better seen to: {', '.join(warnings)}."
    return "A build would work."


def _names(checks: Sequence[Check], level: str) -> list[str]:
    return [check.name for check in checks if check.finding.level == level]


def _wrap(text: str, first: str, rest: str, width: int) -> list[str]:
    """Breaks lines between words, and never a command: it is to be copied."""
    lines = textwrap.wrap(
        COMMAND.sub(lambda found: found[0].replace(" ", HARD_SPACE), text),
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(HARD_SPACE, " ") for line in lines]
