"""`python -m head demo`: a shell over `head.demo.page`."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import JsonOption
from embed.console import MaxPixelsOption
from embed.console import MemoryLimitOption
from embed.console import QuietOption
from embed.console import VerboseOption
from embed.console import command
from head.options import ModelOption


def run_demo(
    model: ModelOption = None,
    top: Annotated[
        int, typer.Option(min=1, help="Most probable classes that are shown.")
    ] = 5,
    neighbours: Annotated[
        int,
        typer.Option(
            min=0, help="Similar training pictures that are shown; 0: none."
        ),
    ] = 6,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Feature cache with the neighbours; default: the one that "
            "the model was made on, if it is there."
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at; 0.0.0.0: whoever reaches this machine "
            "can use the page."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Default: the first free one from 7860."
        ),
    ] = None,
    open_browser: Annotated[
        bool,
        typer.Option("--open", help="Open the page in the browser as well."),
    ] = False,
    max_pixels: MaxPixelsOption = None,
    memory_limit: MemoryLimitOption = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Serve a page that says what a dropped picture shows, and why.

    It shows the most probable classes and the most similar training pictures.
    Only this machine reaches it, and nothing leaves it. Ctrl-C ends it.

    Example: python -m head demo --open
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.errors import CorruptCacheError
        from embed.errors import MissingArtifactError
        from embed.errors import StaleCacheError
        from embed.images import DEFAULT_MAX_PIXELS
        from head.demo.page import require_gradio
        from head.demo.page import serve
        from head.demo.page import wait_for_end
        from head.demo.showcase import Showcase
        from head.predicting.exported import find_model

        require_gradio()
        exported = find_model(artifacts, model)
        console.say(f"Model: {exported.path}.")
        features = None
        try:
            features = exported.find_cache(artifacts, cache)
            console.say(f"Pictures: those of {features.path}.")
        except (
            MissingArtifactError,
            StaleCacheError,
            CorruptCacheError,
        ) as error:
            if cache is not None:
                raise
            console.say(f"No other pictures are shown: {error}")
        if features and neighbours and not exported.has_features:
            console.say(
                "No similar pictures are shown: a SavedModel does not say "
                "what features it saw, as model.keras does."
            )
            neighbours = 0
        showcase = Showcase(
            exported,
            features,
            num_neighbours=neighbours if features else 0,
            max_pixels=max_pixels or DEFAULT_MAX_PIXELS,
            memory_limit=memory_limit,
            console=console,
        )
        with serve(showcase, host=host, port=port, num_top=top) as url:
            console.result(
                {"url": url, "model": str(exported.path)},
                f"Page: {url}\n  Ctrl-C ends it",
            )
            if open_browser:
                webbrowser.open(url)
            wait_for_end()
