"""`python -m head export-full-model`: a shell over `head.exporting.export`."""

import dataclasses
from typing import Annotated

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import CacheOption
from embed.console import JsonOption
from embed.console import MemoryLimitOption
from embed.console import QuietOption
from embed.console import VerboseOption
from embed.console import command
from embed.seeds import MAX_SEED
from head.exporting.formats import DEFAULT_FORMATS
from head.exporting.formats import FORMATS
from head.exporting.formats import require_packages
from head.options import RunOption
from head.options import TtaOption

FORMAT = "--format"


def run_export_full_model(
    run: RunOption = None,
    formats: Annotated[
        str | None,
        typer.Option(
            FORMAT,
            help=f"One or more, by commas: {', '.join(FORMATS)}. Default: "
            f"{','.join(DEFAULT_FORMATS)}.",
        ),
    ] = None,
    tta: TtaOption = False,
    cache: CacheOption = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=MAX_SEED, help="Export this seed of the head; else any."
        ),
    ] = None,
    memory_limit: MemoryLimitOption = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Stitch a head to its backbone and write the model that takes pictures.

    Without `--run` it takes the newer of the last run and the last best.json,
    and trains the latter first. Each format is read back by its own runtime in
    a fresh process and scored on the test split. One that does not answer what
    the head answers on cached features is not written: the others are, and the
    command ends with an error. With `--tta` on more views than the image and
    its mirror only a SavedModel can answer: it takes whole pictures.

    Example: python -m head export-full-model --format onnx,tflite-int8 --tta
    """
    chosen: tuple[str, ...] = DEFAULT_FORMATS
    if formats is not None:
        chosen = tuple(dict.fromkeys(formats.split(",")))
    unknown = sorted(set(chosen) - FORMATS.keys())
    if unknown:
        raise typer.BadParameter(
            f"unknown format {', '.join(unknown)}; choose from "
            f"{', '.join(sorted(FORMATS))}",
            param_hint=FORMAT,
        )
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from head.choice import find_or_train_run

        require_packages(chosen)
        exported_run, features = find_or_train_run(
            artifacts,
            run,
            cache,
            seed=seed,
            memory_limit=memory_limit,
            console=console,
        )
        console.say(f"Run: {exported_run.directory}. Cache: {features.path}.")

        from head.exporting.export import export_full_model
        from head.exporting.model_card import explain_table
        from head.exporting.model_card import format_table
        from head.exporting.parity import ParityError
        from head.exporting.pixels import require_formats

        if tta:
            console.say(exported_run.describe_views())
            if formats is None:
                views = exported_run.views(is_averaged=True)
                chosen = require_formats(DEFAULT_FORMATS, views)
                left_out = sorted(set(DEFAULT_FORMATS) - set(chosen))
                if left_out:
                    console.say(
                        f"Left out: {', '.join(left_out)}, which takes pixels "
                        "of one size and cannot do more than mirror them."
                    )
        export = export_full_model(
            exported_run,
            features,
            artifacts_dir=artifacts,
            formats=chosen,
            is_averaged=tta,
            console=console,
        )
        scored = next(iter(export.scores.values()))
        files = "".join(f"\n  {path}" for path in export.formats.values())
        console.result(
            {
                "model": str(export.directory),
                "run": str(exported_run.directory),
                "formats": {k: str(v) for k, v in export.formats.items()},
                "parity": dataclasses.asdict(export.worst),
                "scores": {
                    name: dataclasses.asdict(of)
                    for name, of in export.scores.items()
                },
                "refused": export.refused,
            },
            f"{format_table(export.record)}\n\n{explain_table(scored)}\n\n"
            f"Model: {export.directory}{files}",
        )
        if export.refused:
            raise ParityError(
                f"{' '.join(export.refused.values())} What passed is in "
                f"{export.directory}: leave the rest out of `{FORMAT}`."
            )
