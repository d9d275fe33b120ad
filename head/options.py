"""Options that several commands of `head` share."""

from pathlib import Path
from typing import Annotated

import typer

RunOption = Annotated[
    Path | None,
    typer.Option("--run", help="Folder of a run; default: the newest."),
]
GroupsOption = Annotated[
    Path | None,
    typer.Option(
        "--groups", help="TOML file: lists of class names by group name."
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model",
        help="Folder of an export, a .keras file or a SavedModel; default: "
        "the newest export.",
    ),
]
TtaOption = Annotated[
    bool,
    typer.Option(
        "--tta",
        help="Average each image with its mirror; of more views those that "
        "were chosen on validation images.",
    ),
]
