"""Build a cache: check everything first, then compute what nobody knows."""

import dataclasses
import time
from pathlib import Path

import numpy as np

from embed.artifacts import CACHES
from embed.artifacts import make_folder
from embed.artifacts import name_dataset
from embed.artifacts import newest_first
from embed.artifacts import touch
from embed.backbones import load_backbone
from embed.building.build import Build
from embed.building.build import build_dir_of
from embed.building.build import remove_leftover
from embed.building.build import set_aside_other_build
from embed.building.current import CurrentPictures
from embed.building.lock import is_being_built
from embed.building.lock import lock_build
from embed.building.parents import CacheParent
from embed.building.parents import Parent
from embed.building.parents import find_builds
from embed.building.parents import find_parents
from embed.building.plan import NOBODY
from embed.building.plan import Plan
from embed.building.plan import make_plan
from embed.building.request import BuildRequest
from embed.building.request import create_spec
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.console import Console
from embed.devices import prepare_devices
from embed.engines import choose_engine
from embed.errors import StaleCacheError
from embed.sources import check_source
from embed.sources import open_source
from embed.spec import CacheSpec
from embed.spec import describe_differences
from embed.spec import is_served_by
from embed.storage.seal import BUILD_COMMAND
from embed.storage.stamps import NO_STAMP
from embed.storage.stamps import read_stamps
from embed.storage.stamps import write_stamps


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
    is_waiting: bool = False,
    console: Console | None = None,
) -> BuildResult:
    """Builds a cache, or finds the one that holds these vectors already.

    Rows that another cache holds, or a build that was cut off, are taken over
    from there where the picture is still the same.

    Args:
        request: What to build.
        artifacts_dir: Folder of everything written.
        cache_path: Where to put it; default: named after its fingerprint.
        is_overwrite: Whether to compute all anew and replace what is there.
        is_waiting: Whether to wait while another process builds it.
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
    if source.ignored:
        console.say(
            f"Ignored: {len(source.ignored):,} files that are no pictures, "
            f"{source.ignored[0]} the first."
        )
    spec = create_spec(request, source, backbone)
    path = cache_path or _default_path(artifacts_dir, request, spec)
    pictures = CurrentPictures(source, console)
    folders = dict.fromkeys([path.parent, artifacts_dir / CACHES])

    def find_caches() -> list[Parent]:
        if is_overwrite:
            return []
        paths = [p for f in folders for p in newest_first(f, "*.h5")]
        paths = list(dict.fromkeys([path, *paths]))
        return find_parents(spec, paths, max_pixels=request.max_pixels)

    def find_finished() -> BuildResult | None:
        if is_overwrite:
            return None
        if path.exists():
            held = open_cache(path)
            _require_served(spec, held)
            held.pictures_digest()  # Damage there is told, not built over.
        found = _find_serving(request, spec, pictures, find_caches(), path)
        if found is None:
            return None
        views = ", ".join(found.spec.views)
        console.say(
            f"The cache {found.path} holds these vectors already (views: "
            f"{views})."
        )
        touch(found.path)
        if not is_being_built(found.path):
            remove_leftover(found.path)
        return BuildResult(found, 0, 0, {"total": time.monotonic() - began})

    if finished := find_finished():
        return finished
    with lock_build(path, is_waiting=is_waiting, console=console) as has_waited:
        if has_waited and (finished := find_finished()):
            return finished
        remove_leftover(path)
        set_aside_other_build(path, spec)
        build = Build(
            request,
            spec,
            source,
            pictures,
            backbone,
            engine_name,
            path,
            parents=[
                *find_caches(),
                *(
                    []
                    if is_overwrite
                    else find_builds(spec, folders, besides=build_dir_of(path))
                ),
            ],
        )
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
    pictures: CurrentPictures,
    parents: list[Parent],
    path: Path,
) -> FeatureCache | None:
    """Returns a cache that holds the wanted vectors, if there is one.

    One of other pictures under the same names does not serve. One that left
    bad pictures out serves only who accepts that: they may be mended by now.
    """
    for parent in parents:
        if not isinstance(parent, CacheParent):
            continue
        held = parent.cache
        if held.spec != spec and (
            held.path != path or not is_served_by(spec, held.spec)
        ):
            continue
        plan = make_plan(
            spec,
            pictures,
            [parent],
            accepts_errors=request.on_error == "skip",
        )
        if plan.sole_parent() is parent:
            _renew_stamps(parent, plan, pictures)
            return held
    return None


def _renew_stamps(
    parent: CacheParent, plan: Plan, pictures: CurrentPictures
) -> None:
    """Spares the next build the pictures that this one had to read."""
    stamps = {}
    for split, num_images in parent.cache.num_images.items():
        of_split = plan.splits[split]
        rows = np.flatnonzero(of_split.parents != NOBODY)
        stamps[split] = np.full((num_images, 3), NO_STAMP)
        stamps[split][of_split.positions[rows]] = pictures.stamps(split)[rows]
    if any(
        not np.array_equal(stamps[split], read_stamps(parent.cache, split))
        for split in stamps
    ):
        write_stamps(parent.cache, stamps)


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
