"""Tests for `embed.doctor.table`."""

from embed.doctor.check import Check
from embed.doctor.check import Finding
from embed.doctor.check import fail
from embed.doctor.check import warn
from embed.doctor.table import format_table
from embed.doctor.table import summarize

GOOD = Check("disk", Finding("10 GB free"))
HINT = Check("builds", warn("1 stale lock", "`rm lock`"))
BAD = Check("numpy", fail("too old", "`pip install numpy`"))


def test_advice_is_below_its_check():
    """Each line has a mark, and what is good has no second line."""
    assert format_table([GOOD, HINT, BAD]).splitlines() == [
        "✓ disk    10 GB free",
        "! builds  1 stale lock",
        "          → `rm lock`",
        "✗ numpy   too old",
        "          → `pip install numpy`",
    ]


def test_commands_are_never_broken():
    """What is to be copied stays on its line, however long that is."""
    command = f"`rm -rf {' '.join(['some/folder'] * 20)}`"
    check = Check("hub cache", warn("left over", f"Clear up: {command}"))

    assert f"{command}\n" in f"{format_table([check])}\n"


def test_the_summary_names_what_is_wrong():
    """Errors first; warnings where there are none."""
    assert summarize([GOOD, HINT, BAD]) == "A build would fail: numpy."
    assert summarize([GOOD, HINT]) == (
        "A build would work. Better seen to: builds."
    )
    assert summarize([GOOD]) == "A build would work."
