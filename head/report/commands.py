"""The commands that lead to a run, to be typed again."""

import shlex
from collections.abc import Iterator

import pydantic

from embed.cache import FeatureCache
from embed.images import DEFAULT_MAX_PIXELS
from embed.provenance import Provenance
from embed.spec import CacheSpec
from head.report.search_table import SearchTable
from head.run import Run
from head.spec import RECIPES

OPTIONS = {"handle": "backbone"}  # The others are called like their field.
OF_SPEC = {"views", "precision", "dtype"}  # The rest of it is what came of it.


def list_commands(
    run: Run, cache: FeatureCache, search: SearchTable | None
) -> list[str]:
    """Returns what builds the cache, trains the head and judges it."""
    build = ["embed", "build-cache"]
    build += list_build_words(cache.spec, cache.provenance)
    record = run.record
    train = ["head", "train", "--cache", str(cache.path)]
    if search is not None:
        train += ["--spec", str(search.directory / "best.json")]
    elif record.spec in RECIPES.values():
        train += ["--recipe", "reference"]
    else:
        train += ["--spec", "SPEC.json"]
    train += ["--seed", str(record.seed)]
    judged = ["--run", str(run.directory), "--cache", str(cache.path)]
    return [
        f"python -m {shlex.join(words)}"
        for words in (
            build,
            train,
            ["head", "evaluate", *judged],
            ["head", "report", *judged],
        )
    ]


def list_build_words(spec: CacheSpec, made: Provenance) -> list[str]:
    """Returns the options of `build-cache` that lead to the same rows.

    Args:
        spec: What identifies the cache.
        made: How it came about.
    """
    words = [
        *_list_words(made.source),
        *_list_words(made.backbone),
        *_list_words(spec, OF_SPEC),
    ]
    if made.skipped:
        words += ["--on-error", "skip"]
    if made.max_pixels != DEFAULT_MAX_PIXELS:
        words += ["--max-pixels", str(made.max_pixels)]
    return words


def _list_words(
    chosen: pydantic.BaseModel, names: set[str] | None = None
) -> Iterator[str]:
    """Yields option and value of each field that is not its default.

    Args:
        chosen: Its fields are options.
        names: Of those that are; default: all.
    """
    for name, field in type(chosen).model_fields.items():
        value = getattr(chosen, name)
        if value == field.default or (names and name not in names):
            continue
        yield f"--{OPTIONS.get(name, name).replace('_', '-')}"
        if name == "image_size":
            yield str(value[0])  # Height and width in one.
        elif name == "views":
            yield ",".join(value)
        else:
            yield str(value)
