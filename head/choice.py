"""Which spec, run and cache a command works on when it is told none."""

from pathlib import Path

from embed.artifacts import RUNS
from embed.artifacts import SEARCHES
from embed.artifacts import find_cache_of
from embed.artifacts import find_labelled_cache
from embed.artifacts import newest_first
from embed.cache import FeatureCache
from embed.console import Console
from head.refit import require_chosen_on
from head.refit import train_run
from head.run import RECORD
from head.run import Run
from head.run import find_run
from head.run import load_run
from head.spec import BEST
from head.spec import RECIPES
from head.spec import HeadSpec
from head.spec import load_spec
from head.training.train import prepare_threads


def choose_spec(
    artifacts_dir: Path,
    cache: FeatureCache,
    spec_path: Path | None,
    recipe: str | None,
) -> tuple[HeadSpec, str]:
    """Returns a head spec and where it comes from, in words.

    Args:
        artifacts_dir: Where searches leave their `best.json`.
        cache: What the spec must have been chosen on.
        spec_path: Of a file that was named.
        recipe: Name of a recipe.

    Raises:
        StaleCacheError: If the spec that was named is of another cache.
    """
    if spec_path is not None:
        spec = load_spec(spec_path)
        require_chosen_on(cache, spec, spec_path)
        return spec, f"the spec {spec_path}{_describe_sample(spec, cache)}"
    if recipe is None:
        for path in newest_first(artifacts_dir, f"{SEARCHES}/*/{BEST}"):
            spec = load_spec(path)
            if spec.fingerprint == cache.fingerprint:
                origin = f"the winner of the last search, {path}"
                return spec, f"{origin}{_describe_sample(spec, cache)}"
    name = recipe or "reference"
    return RECIPES[name], f"the {name} recipe"


def find_run_and_cache(
    artifacts_dir: Path, run_dir: Path | None, cache_path: Path | None
) -> tuple[Run, FeatureCache]:
    """Returns the run to work on and the cache it was made on.

    Raises:
        MissingArtifactError: If one of them is not there.
        StaleCacheError: If the run was made on another cache.
    """
    if cache_path is not None:
        cache = find_labelled_cache(artifacts_dir, cache_path)
        return find_run(artifacts_dir, run_dir, cache), cache
    run = find_run(artifacts_dir, run_dir)
    return run, _cache_of(run, artifacts_dir)


def find_or_train_run(
    artifacts_dir: Path,
    run_dir: Path | None,
    cache_path: Path | None,
    *,
    seed: int | None,
    memory_limit: int | None = None,
    console: Console,
) -> tuple[Run, FeatureCache]:
    """Returns the newer of the last run and the last `best.json`, trained.

    A seed other than the run's has its spec trained again with that seed. For
    `memory_limit` see `train_run`.

    Raises:
        MissingArtifactError: If there is neither.
        StaleCacheError: If they were made on other caches than is given.
    """
    given = None
    if cache_path is not None:
        given = find_labelled_cache(artifacts_dir, cache_path)
    wanted = given.fingerprint if given else None
    best = None if run_dir else _newest_best(artifacts_dir, wanted)
    run_time = 0 if run_dir else _newest_run_time(artifacts_dir, wanted)
    if given and not (run_dir or best or run_time):
        _refuse_winner(artifacts_dir, given)
    if best is None or best[1] < run_time:
        run, cache = find_run_and_cache(artifacts_dir, run_dir, cache_path)
        if seed in (None, run.record.seed):
            return run, cache
        spec = run.record.spec
    else:
        path, _ = best
        spec = load_spec(path)
        if cache_path is None and spec.fingerprint is not None:
            cache = find_cache_of(artifacts_dir, spec.fingerprint)
        else:
            cache = find_labelled_cache(artifacts_dir, cache_path)
        console.say(
            f"Training the winner of the last search, {path}"
            f"{_describe_sample(spec, cache)}."
        )
    prepare_threads(  # As the search did, where heads are small.
        feature_dim=cache.feature_dim,
        num_classes=len(cache.spec.class_names),
    )
    run = train_run(
        cache,
        spec,
        seed=seed or 0,
        artifacts_dir=artifacts_dir,
        memory_limit=memory_limit,
        console=console,
    )
    return run, cache


def _describe_sample(spec: HeadSpec, cache: FeatureCache) -> str:
    """Returns on which part of the images a spec was chosen, if not on all."""
    if spec.chosen_on_rows is None:
        return ""
    num_images = cache.num_images["train"]
    return (
        f", chosen on a sample of {spec.chosen_on_rows:,} images and trained "
        f"on all {num_images:,}"
    )


def _newest_best(
    artifacts_dir: Path, wanted: str | None
) -> tuple[Path, int] | None:
    """Returns the last winner of a search that fits, and when it was won."""
    for path in newest_first(artifacts_dir, f"{SEARCHES}/*/{BEST}"):
        if wanted in (None, load_spec(path).fingerprint):
            return path, path.stat().st_mtime_ns
    return None


def _newest_run_time(artifacts_dir: Path, wanted: str | None) -> int:
    """Returns when the last run that fits was finished, 0 if there is none."""
    for path in newest_first(artifacts_dir, f"{RUNS}/*/{RECORD}"):
        fingerprint = load_run(path.parent).record.cache_spec.fingerprint()
        if wanted in (None, fingerprint):
            return path.stat().st_mtime_ns
    return 0


def _refuse_winner(artifacts_dir: Path, cache: FeatureCache) -> None:
    """Refuses the last winner, unless a later run is to be refused."""
    best = _newest_best(artifacts_dir, None)
    if best and best[1] > _newest_run_time(artifacts_dir, None):
        require_chosen_on(cache, load_spec(best[0]), best[0])


def _cache_of(run: Run, artifacts_dir: Path) -> FeatureCache:
    return find_cache_of(
        artifacts_dir,
        run.record.cache_spec.fingerprint(),
        Path(run.record.cache),
    )
