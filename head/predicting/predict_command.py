"""`python -m head predict`: a shell over `head.predicting.predict`."""

import sys
import time
from pathlib import Path
from typing import Annotated
from typing import Literal

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import Console
from embed.console import JsonOption
from embed.console import MaxPixelsOption
from embed.console import MemoryLimitOption
from embed.console import QuietOption
from embed.console import VerboseOption
from embed.console import command


def run_predict(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Files, folders, globs in quotes, or - for paths on stdin.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an export, a .keras file or a SavedModel; "
            "default: the newest export."
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, help="Most probable classes a picture.")
    ] = 3,
    neighbours: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Name so many of the most similar training pictures.",
        ),
    ] = None,
    engine: Annotated[
        Literal["auto", "tensorflow", "litert", "openvino"],
        typer.Option(
            help="What runs the model; auto: none for a few pictures, else "
            "as in build-cache."
        ),
    ] = "auto",
    max_pixels: MaxPixelsOption = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Feature cache with the neighbours; default: the one that "
            "the model was made on."
        ),
    ] = None,
    memory_limit: MemoryLimitOption = None,
    json_lines: Annotated[
        bool,
        typer.Option(
            "--json-lines",
            help="Print a JSON object a picture, as soon as it is answered.",
        ),
    ] = False,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what pictures show, by an exported model alone.

    Folders are searched to any depth. Each picture is answered once, in the
    order given; one that cannot be read is reported and the rest goes on. Exit
    code 0 if any picture was answered, 1 if none was. With `--json-lines` and
    paths from stdin there may be any number of them: no list is kept.

    Example: find birds -name '*.jpg' | python -m head predict - --top 1
    """
    if as_json and json_lines:
        raise typer.BadParameter("give `--json` or `--json-lines`, not both")
    if neighbours is None and (cache or memory_limit):
        raise typer.BadParameter(
            "`--cache` and `--memory-limit` are for `--neighbours`"
        )
    # On a terminal that shows the answers, a bar would be drawn over them.
    is_watched = not as_json and sys.stdout.isatty() and sys.stderr.isatty()
    with command(
        as_json=as_json or json_lines, is_verbose=verbose, is_quiet=quiet
    ) as console:
        began = time.monotonic()
        from head.predicting.inputs import STDIN
        from head.predicting.inputs import list_inputs

        files = list_inputs(images, getattr(sys.stdin, "buffer", ()))
        known = None if json_lines and STDIN in images else list(files)

        from embed.images import DEFAULT_MAX_PIXELS
        from head.predicting.exported import find_model
        from head.predicting.predict import NUM_FEW
        from head.predicting.predict import Predictor
        from head.predicting.prediction_report import PredictionReport

        exported = find_model(artifacts, model)
        console.say(f"Model: {exported.path}.")
        report = PredictionReport(
            console,
            exported.class_names,
            form="json" if as_json else "lines" if json_lines else "text",
            num_top=top,
            files=known or (),
        )
        training = None
        if neighbours:
            from head.predicting.neighbours import TrainingPictures

            features = exported.find_cache(artifacts, cache)
            console.say(f"Neighbours: training pictures of {features.path}.")
            training = TrainingPictures(features, memory_limit=memory_limit)
        predictor = Predictor(
            exported,
            engine=engine,
            training=training,
            num_neighbours=neighbours or 0,
            max_pixels=max_pixels or DEFAULT_MAX_PIXELS,
            console=console,
        )
        num_files = len(known) if known is not None else None
        has_bar = (num_files or 0) > NUM_FEW and not is_watched
        bar = console if has_bar else Console(is_quiet=True)
        answers = predictor.run(files if known is None else known, num_files)
        with bar.progress("Predicting", num_files or 0, "pictures") as progress:
            for prediction in answers:
                report.add(prediction)
                progress.advance()
        report.finish(
            exported.path,
            engine=predictor.engine,
            seconds=time.monotonic() - began,
            images_per_second=predictor.images_per_second,
        )
