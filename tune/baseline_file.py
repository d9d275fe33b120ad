"""The baselines of a search, run on its rows and kept in its folder.

    baselines.json     a `BaselineFile`; there whole or not at all

A search that goes on takes them from there.
"""

from collections.abc import Sequence
from pathlib import Path

import pydantic

from embed.artifacts import write_text
from embed.console import Console
from embed.errors import PipelineError
from embed.memory import format_size
from embed.memory import free_memory
from embed.rows import Rows
from tune.baselines import BaselineResult
from tune.baselines import run_on_folds
from tune.search_rows import TrainAndVal

BASELINES = "baselines.json"
# Of the free memory, that the training features may take: baselines take up to
# three times as much on top.
MEMORY_SHARE = 0.25
NOT_IN_MEMORY = "the features are not held in memory."


class BaselineFile(pydantic.BaseModel, frozen=True, extra="forbid"):
    """What the baselines of a search came to.

    Args:
        fingerprint: Of the cache that they were fitted on.
        baselines: In a fixed order.
    """

    fingerprint: str
    baselines: list[BaselineResult]


def run_and_keep(
    folds: Sequence[TrainAndVal],
    *,
    num_classes: int,
    fingerprint: str,
    folder: Path,
    console: Console,
) -> list[BaselineResult]:
    """Runs the baselines, unless memory is short.

    Args:
        folds: Rows to fit on and rows to score by of each.
        num_classes: Number of classes.
        fingerprint: Of the cache that the rows are from.
        folder: Of the search; the results are written there.
        console: Is told of each result, and why there is none.

    Returns:
        The results, none where the rows are not in memory.
    """
    held = [
        (train, val)
        for train, val in folds
        if isinstance(train, Rows) and isinstance(val, Rows)
    ]
    if len(held) < len(folds):
        console.say(f"No baselines: {NOT_IN_MEMORY}")
        return []
    if obstacle := next(filter(None, (find_obstacle(t) for t, _ in held)), ""):
        console.say(f"No baselines: {obstacle}")
        return []
    results = run_on_folds(
        held,
        num_classes=num_classes,
        on_done=lambda result: console.say(_describe(result)),
    )
    kept = BaselineFile(fingerprint=fingerprint, baselines=results)
    write_text(folder / BASELINES, kept.model_dump_json(indent=2))
    return results


def find_obstacle(train: Rows) -> str:
    """Returns why there is no memory for baselines of rows, or `""`."""
    num_bytes, limit = train.features.nbytes, int(MEMORY_SHARE * free_memory())
    if num_bytes <= limit:
        return ""
    return (
        f"the {format_size(num_bytes)} of training features are more than a "
        f"quarter of the free memory, {format_size(limit)}."
    )


def read_baselines(folder: Path, fingerprint: str) -> list[BaselineResult]:
    """Reads the baselines of a search; none where it ran none on this cache.

    Raises:
        PipelineError: If the file holds something else.
    """
    path = folder / BASELINES
    try:
        found = BaselineFile.model_validate_json(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"The file {path} holds no baselines. Expected: the JSON fields "
            f"{sorted(BaselineFile.model_fields)}. Received: {error}. Remove "
            "it and run the search again."
        ) from error
    return found.baselines if found.fingerprint == fingerprint else []


def _describe(result: BaselineResult) -> str:
    return (
        f"Baseline {result.name} ({result.setting}): "
        f"{result.val_accuracy:.2%} in {result.seconds:.1f} s."
    )
