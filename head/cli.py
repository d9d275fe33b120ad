"""`python -m head`: train, evaluate and export heads.

Each command is a thin shell over one library call. Heavy imports are inside
the commands, so that `--help` answers at once.
"""

from pathlib import Path
from typing import Annotated
from typing import Literal

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import CacheOption
from embed.console import JsonOption
from embed.console import MemoryLimitOption
from embed.console import OverwriteOption
from embed.console import QuietOption
from embed.console import SeedOption
from embed.console import VerboseOption
from embed.console import command
from embed.console import create_app
from embed.console import format_seconds
from head.demo.demo_command import run_demo
from head.evaluating.evaluate_command import run_evaluate
from head.exporting.export_command import run_export_full_model
from head.predicting.predict_command import run_predict
from head.report.report_command import run_report

app = create_app("Features to classifier to numbers to full model.")


@app.command("train")
def run_train(
    spec: Annotated[
        Path | None,
        typer.Option(
            help="Head spec, JSON; default: the newest best.json that fits "
            "the cache, else the reference recipe."
        ),
    ] = None,
    recipe: Annotated[
        Literal["reference"] | None, typer.Option(help="A recipe by name.")
    ] = None,
    cache: CacheOption = None,
    seed: SeedOption = 0,
    memory_limit: MemoryLimitOption = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a head on cached features, then refit it on train and validation.

    A spec with `others` has each head trained, and all averaged into one.

    Example: python -m head train --recipe reference --seed 1
    """
    if spec and recipe:
        raise typer.BadParameter("give `--spec` or `--recipe`, not both")
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.artifacts import find_labelled_cache
        from embed.devices import prepare_devices
        from embed.errors import PipelineError
        from embed.origin import load_backbone_of
        from head.choice import choose_spec
        from head.evaluating.view_choice import NUM_UNCHOSEN
        from head.refit import train_run
        from head.stitch import stitch
        from head.stitch import summarize
        from head.training.train import prepare_threads

        features = find_labelled_cache(artifacts, cache)
        console.say(f"Cache: {features.path}.")
        head_spec, origin = choose_spec(artifacts, features, spec, recipe)
        prepare_threads(
            feature_dim=features.feature_dim,
            num_classes=len(features.spec.class_names),
        )
        console.say(f"Head: {origin}. {prepare_devices().describe()}.")
        run = train_run(
            features,
            head_spec,
            seed=seed,
            artifacts_dir=artifacts,
            memory_limit=memory_limit,
            is_overwrite=overwrite,
            console=console,
        )
        try:
            model = stitch(load_backbone_of(features), run.load_head())
            summary = summarize(model)
        except PipelineError as error:
            summary = f"The full model was not summarised: {error}"
        record = run.record
        accuracies = record.member_val_accuracies
        alone = ", ".join(f"{accuracy:.2%}" for accuracy in accuracies)
        is_chosen = len(record.cache_spec.views) > NUM_UNCHOSEN
        if as_json:
            console.say(summary)
        console.result(
            {
                "run": str(run.directory),
                "val_accuracy": record.val_accuracy,
                "temperature": record.temperature,
                "tta_views": run.views(is_averaged=True),
                "seconds": record.seconds,
                "member_val_accuracies": accuracies,
                "epochs": sum(head.epochs for head in record.spec.members),
                "num_train": record.num_train,
                "num_val": record.num_val,
            },
            f"{summary}\n"
            f"Run: {run.directory}\n"
            f"  validation accuracy {record.val_accuracy:.2%} "
            f"({record.num_train:,} images fitted, {record.num_val:,} held "
            f"out), refit on all, {format_seconds(record.seconds)}"
            + (f"\n  mean of {len(accuracies)} heads: {alone}" if alone else "")
            + (
                f"\n  {run.describe_views()} `--tta` asks for their mean."
                if is_chosen
                else ""
            ),
        )


app.command("evaluate")(run_evaluate)
app.command("report")(run_report)
app.command("predict")(run_predict)
app.command("export-full-model")(run_export_full_model)
app.command("demo")(run_demo)
