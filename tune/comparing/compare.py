"""Compare caches: the same head on each, judged on the same images.

In `comparisons/NAME/`, beside the caches:

    comparison.png     accuracy against the rate of the backbone
    comparison.json    a `CacheComparison`; written last

and in `comparisons/.building/NAME/`, until all caches have been judged:

    NUMBER.json        a `FinishedContest`, from which a comparison goes on
    cache-NUMBER.json  the fingerprint of a cache, for `embed prune`

Every cache gets the same recipe and the same seeds. A head that was searched
on one of them would be ahead by its luck on the very images that judge. Whether
an image is in the validation split depends on its id alone, so that all heads
answer the same ones. The test split chooses nothing, and is not read.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic

from embed.artifacts import BUILDING
from embed.artifacts import COMPARISONS
from embed.artifacts import make_folder
from embed.artifacts import replace_folder
from embed.artifacts import touch
from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.claims import lock_work
from embed.console import Console
from embed.errors import PipelineError
from embed.provenance import installed_versions
from head.evaluating.intervals import find_interval
from head.spec import HeadSpec
from tune.comparing.contest import Contest
from tune.comparing.pictures import require_same_pictures
from tune.comparing.record import CacheComparison
from tune.comparing.record import Contestant
from tune.comparing.record import FinishedContest

RECORD, PICTURE = "comparison.json", "comparison.png"
NAME_DIGITS = 10  # Of the digest in a comparison's name: 40 bits.


def compare_heads(
    caches: Sequence[FeatureCache],
    *,
    spec: HeadSpec,
    seeds: Sequence[int],
    artifacts_dir: Path,
    memory_limit: int | None = None,
    is_overwrite: bool = False,
    console: Console | None = None,
) -> tuple[Path, CacheComparison]:
    """Trains a head on each cache, or finds where that was done.

    Args:
        caches: Two at least; the first is what the others are compared with.
        spec: The head.
        seeds: With which to train it on each.
        artifacts_dir: Folder of everything written.
        memory_limit: Bytes that features may take; more are streamed.
            Default: half of the memory that is free.
        is_overwrite: Whether to do again what was done.
        console: Receives progress and remarks.

    Returns:
        The folder of the comparison, and what it came to.

    Raises:
        IncomparableError: If they are not of the same pictures.
        DivergedError: If a training diverged.
        PipelineError: If there are too few caches or images, or another
            process compares the same.
    """
    console = console or Console(is_quiet=True)
    if len(caches) < 2:
        raise PipelineError(
            "There is nothing to compare. Expected: two caches at least. "
            f"Received: {len(caches)}. Name each with `--cache PATH`; "
            "`python -m embed list` shows them."
        )
    for other in caches[1:]:
        require_same_pictures(caches[0], other)
    spec = spec.with_fingerprint(None)
    folder = artifacts_dir / COMPARISONS / _name(caches, spec, seeds)
    if not is_overwrite and (folder / RECORD).is_file():
        console.say(f"The comparison {folder} is of exactly this already.")
        touch(folder / RECORD)
        return folder, _read(folder / RECORD, caches)
    parts_dir = artifacts_dir / COMPARISONS / BUILDING / folder.name
    make_folder(parts_dir.parent)
    lock_path = parts_dir.with_name(f"{folder.name}.lock")
    with lock_work(lock_path, f"The comparison {folder}"):
        if is_overwrite:
            shutil.rmtree(parts_dir, ignore_errors=True)
        parts_dir.mkdir(exist_ok=True)
        for number, cache in enumerate(caches):
            claim = json.dumps({"fingerprint": cache.fingerprint})
            write_text(parts_dir / f"cache-{number}.json", claim)
        comparison = _compare(
            caches, spec, seeds, memory_limit, parts_dir, console
        )
        from tune.comparing.plot import draw_comparison

        with replace_folder(folder) as part:
            draw_comparison(comparison, part / PICTURE)
            text = comparison.model_dump_json(indent=2)
            (part / RECORD).write_text(text, "utf-8")
        shutil.rmtree(parts_dir, ignore_errors=True)
    return folder, comparison


def _compare(
    caches: Sequence[FeatureCache],
    spec: HeadSpec,
    seeds: Sequence[int],
    memory_limit: int | None,
    parts_dir: Path,
    console: Console,
) -> CacheComparison:
    finished: list[FinishedContest] = []
    num_epochs = len(seeds) * sum(member.epochs for member in spec.members)
    total = len(caches) * num_epochs
    with console.progress("Training", total, "epochs") as progress:
        for number, cache in enumerate(caches):
            path = parts_dir / f"{number}.json"
            found = _read_finished(path)
            if found is not None:
                console.say(f"Cache: {cache.path}, judged before.")
                progress.advance(num_epochs)
            else:
                console.say(f"Cache: {cache.path}.")
                contest = Contest(
                    cache, spec, memory_limit=memory_limit, console=console
                )
                found = contest.finish(seeds, lambda _: progress.advance())
                del contest  # Its rows, before those of the next are read.
                write_text(path, found.model_dump_json())
            finished.append(found)
    first = finished[0]
    comparison = CacheComparison(
        spec=spec,
        seeds=tuple(seeds),
        num_val=first.num_val,
        caches=(
            first.contestant,
            *(_add_difference(found, first) for found in finished[1:]),
        ),
        seconds=sum(found.seconds for found in finished),
    )
    return _move(comparison, caches)


def _read_finished(path: Path) -> FinishedContest | None:
    """Reads what an interrupted comparison kept, where that can be read."""
    try:
        return FinishedContest.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _add_difference(
    found: FinishedContest, first: FinishedContest
) -> Contestant:
    """Returns a contestant with its difference to the first."""
    contestant = found.contestant
    difference = contestant.val_accuracy - first.contestant.val_accuracy
    drawn = np.subtract(found.drawn, first.drawn)
    return contestant.model_copy(
        update={
            "difference": difference,
            "difference_interval": find_interval(drawn, difference),
        }
    )


def _read(path: Path, caches: Sequence[FeatureCache]) -> CacheComparison:
    """Reads what was compared."""
    try:
        found = CacheComparison.model_validate_json(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, pydantic.ValidationError) as error:
        raise PipelineError(
            f"The file {path} holds no comparison. Expected: the JSON fields "
            f"{sorted(CacheComparison.model_fields)}. Received: {error}. Run "
            "the command again with `--overwrite`."
        ) from error
    return _move(found, caches)


def _move(
    comparison: CacheComparison, caches: Sequence[FeatureCache]
) -> CacheComparison:
    """Returns a comparison of caches that may lie elsewhere by now."""
    moved = [
        contestant.model_copy(update={"cache": str(cache.path)})
        for contestant, cache in zip(comparison.caches, caches, strict=True)
    ]
    return comparison.model_copy(update={"caches": tuple(moved)})


def _name(
    caches: Sequence[FeatureCache], spec: HeadSpec, seeds: Sequence[int]
) -> str:
    """Returns a name that stands for all that the figures depend on."""
    identity = "\0".join(
        [
            *map("=".join, sorted(installed_versions().items())),
            *(cache.fingerprint for cache in caches),
            *(cache.pictures_digest() for cache in caches),
            spec.to_json(),
            *map(str, seeds),
        ]
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()[:NAME_DIGITS]
    return f"{caches[0].path.stem.partition('-')[0]}-{digest}"
