"""Tables for people, as text."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

TABLE_WIDTH = 200  # Characters: names and handles are never cut.


def render_table(table: "Table", width: int = TABLE_WIDTH) -> list[str]:
    """Returns the lines of a table, without spaces at their ends.

    Args:
        table: What is shown.
        width: Of the widest line, in characters.
    """
    from rich.console import Console

    text = io.StringIO()
    # In a name, brackets are brackets.
    Console(file=text, width=width, markup=False).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]
