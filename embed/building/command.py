"""The command `python -m embed build-cache`; `embed/cli.py` registers it.

Heavy imports are inside, so that `--help` answers at once.
"""

from pathlib import Path
from typing import Annotated
from typing import Literal

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import JsonOption
from embed.console import MaxPixelsOption
from embed.console import OverwriteOption
from embed.console import QuietOption
from embed.console import SeedOption
from embed.console import VerboseOption
from embed.console import command
from embed.console import parse_size_option
from embed.presets import PRESETS
from embed.presets import PresetName

LARGE = "For large builds"


def run_build_cache(
    preset: Annotated[
        PresetName, typer.Option(help="Dataset and backbone by one name.")
    ] = "pets",
    dataset: Annotated[
        str | None,
        typer.Option(
            help="tfds:NAME, folder:DIR, hf:NAME, hf:DIR (Parquet), "
            "wds:PATTERN (tar shards) or digits."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where TFDS and Hugging Face keep datasets; or TFDS_DATA_DIR."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For folder: a CSV or Parquet list with the columns path, "
            "label and perhaps split.",
        ),
    ] = None,
    label_from: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="For folder: folder, name (Class_12.jpg) or none; for tfds: "
            "and hf: a feature; for wds: a key of .json members.",
        ),
    ] = None,
    train_split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="What the dataset calls its train split; tfds: and hf: take "
            "parts, 'train\\[:80%]'.",
        ),
    ] = None,
    test_split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT", help="What it calls its test split, likewise."
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="keras:NAME\\[?alpha=1.4], kerashub:PRESET, hub:ADDRESS, "
            "hub:DIR, kaggle:MODEL, savedmodel:DIR or model:FILE; "
            "`embed backbones` lists some."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="For keras: backbones: imagenet, random, PATH or "
            "package:DIST/PATH."
        ),
    ] = None,
    cut: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Layer whose output is the features, or output of a "
            "savedmodel:; default: the last in front of the classifier.",
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Height and width in pixels; default: the backbone's."
        ),
    ] = None,
    views: Annotated[
        str | None,
        typer.Option(
            help="plain: the image; flip: and its mirror; or a list, plain "
            "first: plain,flip,center,center+flip,corners,scale288."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images a call of the engine, 256 at most; default: what "
            "suits it.",
        ),
    ] = None,
    engine: Annotated[
        Literal["auto", "tensorflow", "litert", "openvino"],
        typer.Option(
            help="What runs the backbone; auto: tries which is the fastest."
        ),
    ] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="What the backbone computes in."),
    ] = "float32",
    dtype: Annotated[
        Literal["float32", "float16"],
        typer.Option(help="What features are stored in."),
    ] = "float32",
    max_file_size: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE",
            parser=parse_size_option,
            help="From which size on, e.g. 100G, a cache is not one file: its "
            "features go into files of at most that size, in a folder beside "
            "it. A finished cache stays as it is. Default: 1T.",
            rich_help_panel=LARGE,
        ),
    ] = None,
    on_error: Annotated[
        Literal["fail", "skip"],
        typer.Option(help="For pictures that cannot be decoded."),
    ] = "fail",
    max_pixels: MaxPixelsOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Images a split, at most.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that embed; default: this one, or one for each "
            "machine or GPU of a cluster.",
            rich_help_panel=LARGE,
        ),
    ] = None,
    runner: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="Where they run: on this machine, or on Ray.",
            rich_help_panel=LARGE,
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Of the Ray cluster, or auto; default: this machine alone.",
            rich_help_panel=LARGE,
        ),
    ] = None,
    gpus_per_worker: Annotated[
        float,
        typer.Option(
            min=0, help="GPUs of each worker on Ray.", rich_help_panel=LARGE
        ),
    ] = 0,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Wait while another process builds it, and do not leave.",
        ),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(help="Where to put it; default: named after its content."),
    ] = None,
    blocks: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where blocks lie until it is finished: a folder, "
            "s3://BUCKET/PATH, gs://BUCKET/PATH; default: beside it. One that "
            "goes on needs the same.",
            rich_help_panel=LARGE,
        ),
    ] = None,
    seed: SeedOption = 0,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the frozen backbone once over every image and its mirror.

    More views come from the same decode: the center or the four corners, each
    0.8 of both sides, and scaleN, the whole picture at N pixels, at which the
    backbone runs too; NAME+flip is the mirror of any. A view that is added to
    a cache is all that is computed.

    The seed is that of random weights. A build that was interrupted goes on
    where it stopped; one that is there already is not done again. Of a
    dataset that has changed only what is new is computed, the rest is taken
    over from older caches.

    Example: python -m embed build-cache --dataset folder:birds
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.backbones import BackboneRequest
        from embed.backbones.request import DEFAULT_WEIGHTS
        from embed.building.request import BuildRequest
        from embed.devices import num_cpu_threads
        from embed.devices import use_threads
        from embed.extract import build_cache
        from embed.images import DEFAULT_MAX_PIXELS
        from embed.sources import SourceRequest
        from embed.storage.parts import DEFAULT_MAX_FILE_BYTES
        from embed.views import parse_views

        chosen = PRESETS[preset]
        side = image_size or (None if backbone else chosen.image_size)
        request = BuildRequest(
            source=SourceRequest(
                dataset=dataset or chosen.dataset,
                data_dir=str(data_dir) if data_dir else None,
                limit=limit,
                labels=str(labels) if labels else None,
                label_from=label_from,
                train_split=train_split,
                test_split=test_split,
            ),
            backbone=BackboneRequest(
                handle=backbone or chosen.backbone,
                weights=weights
                or (DEFAULT_WEIGHTS if backbone else chosen.weights),
                image_size=(side, side) if side else None,
                seed=seed,
                cut=cut,
            ),
            views=parse_views(chosen.views if views is None else views),
            precision=precision,
            dtype=dtype,
            engine=engine,
            batch_size=batch_size,
            on_error=on_error,
            max_pixels=max_pixels or DEFAULT_MAX_PIXELS,
            runner=runner,
            num_workers=workers,
            address=address,
            gpus_per_worker=gpus_per_worker,
            blocks=blocks,
            max_file_bytes=max_file_size or DEFAULT_MAX_FILE_BYTES,
        )
        use_threads(num_cpu_threads())  # Behind all that needs no TensorFlow.
        result = build_cache(
            request,
            artifacts_dir=artifacts,
            cache_path=cache,
            is_overwrite=overwrite,
            is_waiting=wait,
            console=console,
        )
        console.result(result.to_payload(), result.to_text())
