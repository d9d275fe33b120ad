"""`python -m head predict`: a shell over `head.predicting.predict`."""

import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
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

if TYPE_CHECKING:
    from head.predicting.prediction_report import Form
from head.options import ModelOption


def run_predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Files, folders, globs in quotes, or - for paths on stdin; "
            "none for the pictures of `--cache`.",
        ),
    ] = None,
    model: ModelOption = None,
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
            "the model was made on. Without IMAGE: whose pictures to answer."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Run that answers for `--cache` without IMAGE; default: the "
            "newest that fits."
        ),
    ] = None,
    memory_limit: MemoryLimitOption = None,
    json_lines: Annotated[
        bool,
        typer.Option(
            "--json-lines",
            help="Print a JSON object a picture, as soon as it is answered; "
            "paths may come one by one on stdin.",
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

    Without pictures `--cache` has a run answer for the features that are in a
    cache, one of `build-cache --label-from none` for example: no picture is
    opened and no backbone runs.

    Example: find birds -name '*.jpg' | python -m head predict - --top 1
    """
    if as_json and json_lines:
        raise typer.BadParameter("give `--json` or `--json-lines`, not both")
    images = images or []
    if not images and cache is None:
        raise typer.BadParameter("give pictures, or their cache by `--cache`")
    if not images and (model or max_pixels or engine != "auto"):
        raise typer.BadParameter(
            "`--model`, `--engine` and `--max-pixels` are for pictures"
        )
    if images and run:
        raise typer.BadParameter("`--run` is for `--cache` without pictures")
    if neighbours is None and ((images and cache) or memory_limit):
        raise typer.BadParameter(
            "`--cache` and `--memory-limit` are for `--neighbours`"
        )
    # On a terminal that shows the answers, a bar would be drawn over them.
    is_watched = not as_json and sys.stdout.isatty() and sys.stderr.isatty()
    with command(
        as_json=as_json or json_lines, is_verbose=verbose, is_quiet=quiet
    ) as console:
        began = time.monotonic()
        form: Form = "json" if as_json else "lines" if json_lines else "text"
        if cache is not None and not images:
            _predict_cached(
                cache,
                run,
                artifacts,
                form=form,
                num_top=top,
                num_neighbours=neighbours or 0,
                memory_limit=memory_limit,
                console=console,
            )
            return
        from head.predicting.inputs import STDIN
        from head.predicting.inputs import list_inputs
        from head.predicting.inputs import read_lines

        lines = getattr(sys.stdin, "buffer", io.BytesIO())
        known, live = None, None
        if json_lines and STDIN in images:
            live = list_inputs(images, read_lines(lines))
        else:
            known = list(list_inputs(images, lines))

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
            form=form,
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
        answers = predictor.run(live or known or (), num_files)
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


def _predict_cached(
    cache_path: Path,
    run_dir: Path | None,
    artifacts_dir: Path,
    *,
    form: "Form",
    num_top: int,
    num_neighbours: int,
    memory_limit: int | None,
    console: Console,
) -> None:
    """Has a run answer for the pictures of a cache, by their features."""
    began = time.monotonic()
    from embed.artifacts import find_cache_of
    from embed.cache import open_cache
    from embed.devices import prepare_devices
    from head.predicting.cached import find_run_for
    from head.predicting.cached import predict_cached
    from head.predicting.neighbours import TrainingPictures
    from head.predicting.prediction_report import PredictionReport

    prepare_devices()
    features = open_cache(cache_path)
    run = find_run_for(artifacts_dir, run_dir, features)
    console.say(f"Run: {run.directory}.")
    record, training = run.record, None
    made_on = record.cache_spec
    if num_neighbours:
        known = find_cache_of(
            artifacts_dir, made_on.fingerprint(), Path(record.cache)
        )
        run.require_cache(known)
        console.say(f"Neighbours: training pictures of {known.path}.")
        training = TrainingPictures(known, memory_limit=memory_limit)
    report = PredictionReport(
        console, made_on.class_names, form=form, num_top=num_top
    )
    started = time.monotonic()
    for prediction in predict_cached(
        run, features, training=training, num_neighbours=num_neighbours
    ):
        report.add(prediction)
    num_images = sum(features.num_images.values())
    report.finish(
        run.directory,
        kind="run",
        engine="the head alone",
        seconds=time.monotonic() - began,
        images_per_second=num_images / (time.monotonic() - started),
    )
