"""Tests for `embed.tables`."""

from rich.table import Table

from embed.tables import render_table


def test_names_are_shown_as_they_are():
    """A bracket is no markup, and no line ends in spaces."""
    table = Table(box=None, pad_edge=False)
    table.add_column("cache")
    table.add_column("MB", justify="right")
    table.add_row("[bold]a[/bold].h5", "1.5")
    table.add_row("b.h5")

    assert render_table(table) == [
        "cache               MB",
        "[bold]a[/bold].h5  1.5",
        "b.h5",
    ]
