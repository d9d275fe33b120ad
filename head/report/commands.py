"""The commands that lead to a run, to be typed again."""

import shlex

from embed.cache import FeatureCache
from head.report.search_table import SearchTable
from head.run import Run
from head.spec import RECIPES


def list_commands(
    run: Run, cache: FeatureCache, search: SearchTable | None
) -> list[str]:
    """Returns what builds the cache, trains the head and judges it."""
    source, backbone = cache.provenance.source, cache.provenance.backbone
    build = ["embed", "build-cache", "--dataset", source.dataset]
    if source.data_dir is not None:
        build += ["--data-dir", source.data_dir]
    if source.limit is not None:
        build += ["--limit", str(source.limit)]
    build += ["--backbone", backbone.handle]
    if backbone.handle.startswith("keras:"):
        build += ["--weights", backbone.weights]
    build += ["--image-size", str(cache.spec.image_size[0])]
    build += ["--views", ",".join(cache.spec.views)]
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
