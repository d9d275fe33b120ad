"""The command that lists backbones; `embed/cli.py` registers it."""

from typing import Annotated
from typing import Literal

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import JsonOption
from embed.console import QuietOption
from embed.console import VerboseOption
from embed.console import command


def run_backbones(
    kind: Annotated[
        Literal["keras", "kerashub", "hub", "kaggle", "savedmodel", "model"]
        | None,
        typer.Option(
            help="Those of one kind; default: all, of kerashub the used ones."
        ),
    ] = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """List backbones: features, input size, parameters, pixels, speed here.

    Nothing is fetched. Speeds are those of the caches in the folder of
    artifacts, decoding included. Any Keras model and any SavedModel is a
    backbone too: see `model:` and `savedmodel:`.

    Example: python -m embed backbones --kind keras
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.catalogue.listing import draw_table
        from embed.catalogue.listing import list_backbones
        from embed.catalogue.listing import to_payload

        rows = list_backbones(artifacts, kind)
        if kind is None:
            console.say(
                "Presets of KerasHub: `python -m embed backbones --kind "
                "kerashub`."
            )
        console.result(
            {"backbones": [to_payload(row) for row in rows]},
            draw_table(rows)
            if rows
            else f"No cache in {artifacts} was built with a backbone of kind "
            f"{kind}. Any is one: `--backbone {kind}:PATH`.",
        )
