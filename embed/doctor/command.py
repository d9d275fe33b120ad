"""The command `python -m embed doctor`; `embed/cli.py` registers it."""

from pathlib import Path
from typing import Annotated
from typing import Literal

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import JsonOption
from embed.console import QuietOption
from embed.console import VerboseOption
from embed.console import command
from embed.presets import PRESETS
from embed.presets import PresetName


def run_doctor(
    preset: Annotated[
        PresetName, typer.Option(help="Dataset and backbone by one name.")
    ] = "pets",
    dataset: Annotated[
        str | None, typer.Option(help="As of build-cache.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="As of build-cache.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="As of build-cache.")
    ] = None,
    label_from: Annotated[
        str | None, typer.Option(metavar="WHERE", help="As of build-cache.")
    ] = None,
    train_split: Annotated[
        str | None, typer.Option(metavar="SPLIT", help="As of build-cache.")
    ] = None,
    test_split: Annotated[
        str | None, typer.Option(metavar="SPLIT", help="As of build-cache.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="As of build-cache.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="As of build-cache.")
    ] = None,
    cut: Annotated[
        str | None, typer.Option(metavar="NAME", help="As of build-cache.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="As of build-cache.")
    ] = None,
    views: Annotated[
        str | None, typer.Option(help="As of build-cache.")
    ] = None,
    engine: Annotated[
        Literal["auto", "tensorflow", "litert", "openvino"],
        typer.Option(help="As of build-cache."),
    ] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="As of build-cache.")
    ] = "float32",
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="As of build-cache.")
    ] = "float32",
    limit: Annotated[
        int | None, typer.Option(min=1, help="As of build-cache.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="As of build-cache.")
    ] = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look for what would make a build fail, and say what to do.

    Give it the options that build-cache is to get. It fetches nothing, leaves
    nothing behind, and takes a quarter of a minute: versions, imports, Keras's
    settings, GPU and engine; dataset and backbone, and the network where they
    have to be fetched; folders, disk and memory; what earlier builds and
    fetches left. It ends with an estimate of the build.

    Marks: ✓ good; ! a build works, but something is better seen to; ✗ a build
    would fail. Exit code 1 if there is a ✗, and for that alone. In --json, `ok`
    says that there is none, and each of `checks` has its `level`.

    Example: python -m embed doctor --preset digits
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.doctor.child import run_probe
        from embed.doctor.examination import Examination
        from embed.doctor.subject import Subject
        from embed.doctor.table import format_table
        from embed.doctor.table import summarize
        from embed.errors import PipelineError
        from embed.memory import free_memory

        chosen = PRESETS[preset]
        subject = Subject(
            dataset=dataset or chosen.dataset,
            data_dir=str(data_dir) if data_dir else None,
            labels=str(labels) if labels else None,
            label_from=label_from,
            train_split=train_split,
            test_split=test_split,
            backbone=backbone or chosen.backbone,
            weights=weights or (None if backbone else chosen.weights),
            cut=cut,
            image_size=image_size or (None if backbone else chosen.image_size),
            views=views or chosen.views,
            artifacts_dir=artifacts,
            limit=limit,
            engine=engine,
            precision=precision,
            dtype=dtype,
            cache_path=cache,
        )
        console.say(
            f"A build of {subject.dataset} with {subject.backbone}: trying "
            "what it needs."
        )
        memory_before = free_memory()
        examination = Examination(
            run_probe(subject, is_verbose=verbose),
            subject=subject,
            free_memory=memory_before,
        )
        checks = examination.run()
        summary = summarize(checks)
        is_ok = all(check.finding.level != "error" for check in checks)
        payload = {
            "ok": is_ok,
            "checks": [check.to_payload() for check in checks],
            "estimate": examination.estimate_payload(),
        }
        text = format_table(checks)
        console.result(payload, f"{text}\n{summary}" if is_ok else text)
        if not is_ok:
            raise PipelineError(f"{summary} Do what is advised there.")
