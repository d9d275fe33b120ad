"""The command `python -m tune compare`; `tune/cli.py` registers it."""

from pathlib import Path
from typing import Annotated

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import JsonOption
from embed.console import MemoryLimitOption
from embed.console import OverwriteOption
from embed.console import QuietOption
from embed.console import SeedOption
from embed.console import VerboseOption
from embed.console import command
from embed.console import format_seconds


def run_compare(
    cache: Annotated[
        list[Path],
        typer.Option(
            help="Feature cache, two at least; the first is what the others "
            "are compared with."
        ),
    ],
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings on each cache.")
    ] = 5,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="Head spec to train on each; default: the reference recipe."
        ),
    ] = None,
    seed: SeedOption = 0,
    memory_limit: MemoryLimitOption = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare backbones and view sets: the same head on several caches.

    They must be of the same pictures. On each the head is trained with the
    same seeds, on the train rows, and judged on the validation images, which
    are the same for all; the test split is not read. The table has the mean of
    the seeds, how far it may depend on the images (95 %), the seeds' range, and
    the difference to the first cache, image by image, which is surer than the
    two figures by themselves. Beside them: the mean of all views of an image,
    ridge regression, views/s when the cache was built, and sizes.

    Every cache gets the reference recipe, or the head of --spec, whatever was
    searched on it: the search would have chosen by the same images. Of a
    best.json only the recipe counts, not what it was chosen on.

    Example: python -m tune compare --cache artifacts/caches/A.h5 \
--cache artifacts/caches/B.h5
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.artifacts import find_labelled_cache
        from embed.devices import prepare_devices
        from embed.seeds import list_seeds
        from head.spec import RECIPES
        from head.spec import load_spec
        from head.training.train import prepare_threads

        opened = [find_labelled_cache(artifacts, path) for path in cache]
        recipe = load_spec(spec) if spec else RECIPES["reference"]
        prepare_threads(
            feature_dim=max(one.feature_dim for one in opened),
            num_classes=len(opened[0].spec.class_names),
        )
        prepare_devices()

        from tune.comparing.compare import PICTURE
        from tune.comparing.compare import compare_heads
        from tune.comparing.table import format_comparison

        folder, comparison = compare_heads(
            opened,
            spec=recipe,
            seeds=list_seeds(seed, seeds),
            artifacts_dir=artifacts,
            memory_limit=memory_limit,
            is_overwrite=overwrite,
            console=console,
        )
        payload = {
            "comparison": str(folder),
            "picture": str(folder / PICTURE),
            **comparison.model_dump(mode="json"),
        }
        console.result(
            payload,
            f"{format_comparison(comparison)}\n"
            f"Comparison: {folder}, in {format_seconds(comparison.seconds)}\n"
            f"Picture: {folder / PICTURE}",
        )
