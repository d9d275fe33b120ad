"""The commands that look after caches: info, list, verify, diff, prune.

Each is a thin shell over one library call; `embed/cli.py` registers them.
"""

import functools
from pathlib import Path
from typing import Annotated
from typing import Any

import typer

from embed.console import DEFAULT_ARTIFACTS
from embed.console import ArtifactsOption
from embed.console import JsonOption
from embed.console import QuietOption
from embed.console import VerboseOption
from embed.console import command
from embed.memory import format_size

CacheArgument = Annotated[
    Path | None, typer.Argument(help="Feature cache; default: the newest.")
]


def run_info(
    cache: CacheArgument = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a cache holds, what determines it and how it came about.

    Example: python -m embed info
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.artifacts import find_cache
        from embed.upkeep.listing import describe

        facts = describe(find_cache(artifacts, cache))
        console.result(facts, _as_lines(facts))


def run_list(
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the caches, the newest first, and the builds to be finished.

    Example: python -m embed list
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.upkeep.listing import draw_table
        from embed.upkeep.listing import list_caches

        caches = list_caches(artifacts)
        console.result({"caches": caches}, draw_table(caches, artifacts))


def run_verify(
    cache: CacheArgument = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Compute what is bad again."),
    ] = False,
    sample: Annotated[
        int,
        typer.Option(
            min=0,
            help="Pictures a split to run through the backbone again.",
        ),
    ] = 32,
    dataset: Annotated[
        str | None,
        typer.Option(help="Where the pictures lie now, if they were moved."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where TFDS or Hugging Face keeps them now, if they were "
            "moved."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where their list lies now, if it was moved."
        ),
    ] = None,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check every byte of a cache, and a sample of rows by the backbone.

    Exit code 1 while anything is bad. A repair computes the bad rows alone,
    from the pictures the cache was built from; the old file stands until the
    new one is whole.

    Example: python -m embed verify --repair
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.artifacts import find_cache_path
        from embed.devices import prepare_devices
        from embed.errors import PipelineError
        from embed.upkeep.repair import repair_cache
        from embed.upkeep.verify import verify_cache

        path = find_cache_path(artifacts, cache)
        console.say(f"Cache: {path}.")
        prepare_devices()
        moved = {
            "dataset": dataset,
            "data_dir": data_dir and str(data_dir),
            "labels": labels and str(labels),
        }
        verify = functools.partial(
            verify_cache,
            path,
            num_sampled=sample,
            moved={name: value for name, value in moved.items() if value},
            console=console,
        )
        found = verify()
        payload = found.to_payload()
        if repair and not found.is_ok:
            console.say(found.to_text())
            try:
                done = repair_cache(found, console=console)
            except PipelineError:
                console.result(payload, "Not repaired.")
                raise
            found = verify()
            payload = {**found.to_payload(), "repaired": done.to_payload()}
            console.result(payload, f"{done.to_text()}\n{found.to_text()}")
        else:
            console.result(payload, found.to_text())
        found.require_ok()


def run_diff(
    first: Annotated[Path, typer.Argument(help="Feature cache.")],
    second: Annotated[Path, typer.Argument(help="Feature cache.")],
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the fields and the pictures in which two caches differ.

    Example: python -m embed diff artifacts/caches/A.h5 artifacts/caches/B.h5
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.cache import open_cache
        from embed.upkeep.difference import compare_caches

        difference = compare_caches(open_cache(first), open_cache(second))
        console.result(difference.to_payload(), difference.to_text())


def run_prune(
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be removed."),
    ] = False,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished",
            help="Builds that were cut off too, whose work is lost then.",
        ),
    ] = False,
    artifacts: ArtifactsOption = DEFAULT_ARTIFACTS,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove the caches that no run, search or comparison refers to.

    What goes is said before it goes. What is being built, what has no labels
    and what is no cache of ours stays.

    Example: python -m embed prune --dry-run
    """
    with command(
        as_json=as_json, is_verbose=verbose, is_quiet=quiet
    ) as console:
        from embed.upkeep.prune import plan_prune
        from embed.upkeep.prune import remove

        pruning = plan_prune(artifacts, takes_unfinished=unfinished)
        console.say(pruning.to_text())
        if not dry_run:
            planned, pruning = pruning, remove(pruning)
            for entry in pruning.kept[len(planned.kept) :]:
                console.say(f"Kept {entry.path} after all: {entry.reason}.")
        verb = "Would remove" if dry_run else "Removed"
        console.result(
            {**pruning.to_payload(), "dry_run": dry_run},
            f"{verb} {len(pruning.removed)} files and folders, "
            f"{format_size(pruning.num_bytes)}.",
        )


def _as_lines(facts: dict[str, Any], indent: str = "") -> str:
    """Lays nested facts out as `name: value` lines."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}:", _as_lines(value, indent + "  ")]
        elif _is_list(value) and value and isinstance(value[0], dict):
            lines.append(f"{indent}{name}:")
            lines += [f"{indent}  {_as_line(facts)}" for facts in value]
        else:
            shown = ", ".join(map(str, value)) if _is_list(value) else value
            lines.append(f"{indent}{name}: {shown}")
    return "\n".join(lines)


def _as_line(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in facts.items())


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)
