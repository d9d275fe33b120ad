"""Build a cache: check everything first, then run the one pass."""

import contextlib
import dataclasses
import functools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import filelock

from embed.artifacts import CACHES
from embed.artifacts import iterate_caches
from embed.artifacts import make_folder
from embed.artifacts import name_dataset
from embed.artifacts import touch
from embed.backbones import load_backbone
from embed.build import Build
from embed.build_request import BuildRequest
from embed.build_request import create_spec
from embed.cache import BUILD_COMMAND
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.cache import read_blocks
from embed.cache import write_cache
from embed.console import Console
from embed.devices import prepare_devices
from embed.engines import choose_engine
from embed.errors import BusyCacheError
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from embed.origin import is_made_of
from embed.provenance import host_name
from embed.provenance import now
from embed.rows import StoredBlock
from embed.sources import Source
from embed.sources import check_source
from embed.sources import open_source
from embed.spec import CacheSpec
from embed.spec import describe_differences
from embed.spec import is_served_by


@dataclasses.dataclass(frozen=True)
class BuildResult:
    """A finished cache and what this call did for it.

    Args:
        cache: The cache.
        num_computed: Views run through the backbone by this call.
        num_decoded: Images decoded by this call.
        seconds: Wall-clock seconds by stage, of this call.
    """

    cache: FeatureCache
    num_computed: int
    num_decoded: int
    seconds: dict[str, float]

    @property
    def views_per_second(self) -> float:
        """Rate of the pass, without start-up; 0 when nothing was computed."""
        stages = sum(t for name, t in self.seconds.items() if name != "total")
        return self.num_computed / stages if stages else 0.0


def build_cache(
    request: BuildRequest,
    *,
    artifacts_dir: Path,
    cache_path: Path | None = None,
    is_overwrite: bool = False,
    console: Console | None = None,
) -> BuildResult:
    """Builds a cache, or finds the one that holds these vectors already.

    Args:
        request: What to build.
        artifacts_dir: Folder of everything written.
        cache_path: Where to put it; default: named after its fingerprint.
        is_overwrite: Whether to replace a cache that is there.
        console: Receives progress and remarks.

    Raises:
        PipelineError: If something is missing, busy, stale or unwritable.
    """
    console = console or Console(is_quiet=True)
    began = time.monotonic()
    make_folder(artifacts_dir / CACHES if not cache_path else cache_path.parent)
    engine_name = choose_engine(request.engine, request.precision)
    console.say(f"Devices: {prepare_devices().describe()}.")
    request = dataclasses.replace(
        request,
        source=request.source.anchored(),
        backbone=request.backbone.anchored(),
    )
    # What is misspelt is found before anything is fetched, and a backbone of
    # some MB is fetched before a dataset of some GB.
    check_source(request.source)
    backbone = load_backbone(request.backbone)
    source = open_source(request.source)
    spec = create_spec(request, source, backbone)
    path = cache_path or _default_path(artifacts_dir, request, spec)
    if not is_overwrite:
        found = _find_serving(request, spec, source, path, artifacts_dir)
        if found is not None:
            views = ", ".join(found.spec.views)
            console.say(
                f"The cache {found.path} holds these vectors already "
                f"(views: {views})."
            )
            touch(found.path)
            return BuildResult(found, 0, 0, {"total": time.monotonic() - began})
    with _lock(path):
        build = Build(request, spec, source, backbone, engine_name, path)
        build.compute_missing(console)
        cache = build.assemble(console)
    return BuildResult(
        cache=cache,
        num_computed=build.num_computed,
        num_decoded=build.num_decoded,
        seconds={**build.seconds, "total": time.monotonic() - began},
    )


def _default_path(
    artifacts_dir: Path, request: BuildRequest, spec: CacheSpec
) -> Path:
    """Returns `caches/NAME-FINGERPRINT.h5`, NAME being for people."""
    name = name_dataset(request.source.dataset)
    return artifacts_dir / CACHES / f"{name}-{spec.fingerprint()}.h5"


def _find_serving(
    request: BuildRequest,
    spec: CacheSpec,
    source: Source,
    path: Path,
    artifacts_dir: Path,
) -> FeatureCache | None:
    """Returns a cache that holds the wanted vectors, if there is one.

    One of other pictures under the same names does not serve. One that left
    bad pictures out serves only who accepts that: they may be mended by now.

    Raises:
        StaleCacheError: If another cache lies where this one is to go.
        CorruptCacheError: If what lies there is unreadable.
    """
    candidates: list[FeatureCache | PipelineError] = []
    if path.exists():
        there = open_cache(path)
        _require_served(spec, there)
        candidates = [there]
    elif path.parent == artifacts_dir / CACHES:
        candidates = [held for _, held in iterate_caches(artifacts_dir)]
    serving = [
        held
        for held in candidates
        if isinstance(held, FeatureCache)
        and is_served_by(spec, held.spec)
        and (request.on_error == "skip" or not held.provenance.skipped)
        and is_made_of(held, source)
    ]
    for held in serving:
        if held.path == path or held.spec == spec:
            return held
    return _take_views(serving[0], spec, path) if serving else None


def _take_views(
    held: FeatureCache, spec: CacheSpec, path: Path
) -> FeatureCache:
    """Writes a cache of some views of another, without computing any.

    A cache of its own, since a head draws from every view that its cache has.
    """
    columns = [held.spec.views.index(view) for view in spec.views]

    def take(split: str) -> Iterator[StoredBlock]:
        for block in read_blocks(held.path, split):
            features = block.features[:, columns]
            yield dataclasses.replace(block, features=features)

    with _lock(path):
        write_cache(
            path,
            spec=spec,
            provenance=held.provenance,
            splits={
                split: functools.partial(take, split) for split in spec.splits
            },
        )
    return open_cache(path)


def _require_served(wanted: CacheSpec, cache: FeatureCache) -> None:
    """Refuses a cache that does not hold the wanted vectors.

    Raises:
        StaleCacheError: Names the fields, both values and the command.
    """
    if is_served_by(wanted, cache.spec):
        return
    raise StaleCacheError(
        f"The cache {cache.path} was built from other inputs. "
        f"{describe_differences(wanted, cache.spec)} Replace it with "
        f"`{BUILD_COMMAND} --overwrite` and the same options, or name another "
        "path with `--cache`."
    )


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Lets one process build a cache; the system frees a dead one's lock.

    Raises:
        BusyCacheError: If another process is building it.
    """
    lock_path = path.with_name(path.name + ".lock")
    lock = filelock.FileLock(lock_path, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BusyCacheError(
            f"The cache {path} is being built by {_owner(lock_path)}. "
            "Wait until it has finished and run the command again."
        ) from error
    try:
        owner = {"host": host_name(), "pid": os.getpid(), "since": now()}
        lock_path.write_text(json.dumps(owner))
        yield
    finally:
        lock_path.unlink(missing_ok=True)  # Before the release: nobody's yet.
        lock.release()


def _owner(lock_path: Path) -> str:
    try:
        owner = json.loads(lock_path.read_text())
        return (
            f"process {owner['pid']} on {owner['host']} since {owner['since']}"
        )
    except (OSError, ValueError, KeyError):
        return "another process"
