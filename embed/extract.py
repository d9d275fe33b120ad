"""Build a cache: check everything first, then compute what nobody knows."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from embed.artifacts import CACHES
from embed.artifacts import make_folder
from embed.artifacts import name_dataset
from embed.artifacts import touch
from embed.backbones import load_backbone
from embed.backbones.sized import SizedBackbones
from embed.building.build import Build
from embed.building.current import CurrentPictures
from embed.building.folder import prepare_build_dir
from embed.building.folder import remove_leftover
from embed.building.folder import remove_leftover_parts
from embed.building.folder import tell_of_other_place
from embed.building.lock import is_being_built
from embed.building.lock import lock_build
from embed.building.lookup import Lookup
from embed.building.place import anchor_blocks
from embed.building.place import open_blocks_dir
from embed.building.place import require_place
from embed.building.request import BuildRequest
from embed.building.request import create_spec
from embed.building.runners import check_runner
from embed.cache import FeatureCache
from embed.console import Console
from embed.console import format_seconds
from embed.devices import prepare_devices
from embed.engines import list_candidates
from embed.errors import StorageError
from embed.memory import format_size
from embed.sources import check_source
from embed.sources import open_source
from embed.sources.source import find_unknown_classes
from embed.spec import CacheSpec
from embed.storage.parts import DEFAULT_MAX_FILE_BYTES
from embed.storage.parts import require_part_size
from embed.views import require_views

NUM_NAMED = 5  # Ignored files that are named.


@dataclasses.dataclass(frozen=True)
class BuildResult:
    """A finished cache and what this call did for it.

    Args:
        cache: The cache.
        num_computed: Views run through the backbone by this call.
        num_decoded: Images decoded by this call.
        seconds: Of this call: `read`, `decode`, `forward` and `write`, each
            summed over its threads, which overlap; `pass`, all of that by the
            clock; `total`, with start-up.
    """

    cache: FeatureCache
    num_computed: int
    num_decoded: int
    seconds: dict[str, float]

    @property
    def views_per_second(self) -> float:
        """Rate of the pass, without start-up; 0 when nothing was computed."""
        seconds = self.seconds.get("pass", 0.0)
        return self.num_computed / seconds if seconds else 0.0

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        cache = self.cache
        return {
            "cache": str(cache.path),
            "fingerprint": cache.fingerprint,
            "num_images": cache.num_images,
            "num_views": len(cache.spec.views),
            "feature_dim": cache.feature_dim,
            "num_files": len(cache.files.list_sizes()),
            "num_computed": self.num_computed,
            "num_decoded": self.num_decoded,
            "num_skipped": len(cache.provenance.skipped),
            "engine": cache.provenance.engine,
            "seconds": self.seconds["total"],
            "seconds_by_stage": self.seconds,
            "views_per_second": self.views_per_second,
        }

    def to_text(self) -> str:
        """Returns what was built, for people."""
        cache, rate = self.cache, self.views_per_second
        counts = " and ".join(
            f"{number:,} {split}" for split, number in cache.num_images.items()
        )
        return (
            f"Cache: {cache.path}\n"
            f"  {counts} images x {len(cache.spec.views)} views x "
            f"{cache.feature_dim:,} features of {cache.spec.backbone}\n"
            f"  {self.num_computed:,} views computed in "
            f"{format_seconds(self.seconds['total'])}"
            f"{f' ({rate:,.0f} views/s after start-up)' if rate else ''}, "
            f"{len(cache.provenance.skipped)} pictures skipped"
        )


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
    if cache_path is None:
        make_folder(artifacts_dir / CACHES)
    else:
        make_folder(cache_path.parent, option="--cache PATH")
    if cache_path is not None and cache_path.is_dir():
        raise StorageError(
            f"The cache cannot go to {cache_path}, which is a folder. "
            "Expected: a file. Give one with `--cache PATH`."
        )
    check_runner(request)
    list_candidates(request.engine, request.precision)  # Raises early.
    console.say(f"Devices: {prepare_devices().describe()}.")
    request = dataclasses.replace(
        request,
        source=request.source.anchored(),
        backbone=request.backbone.anchored(),
        blocks=anchor_blocks(request.blocks),
    )
    # What is misspelt is found before anything is fetched, and a backbone of
    # some MB is fetched before a dataset of some GB.
    require_views(request.views)
    check_source(request.source)
    require_place(request.blocks)
    backbone = load_backbone(request.backbone)
    request = dataclasses.replace(
        request, backbone=request.backbone.pinned(backbone)
    )
    for remark in backbone.remarks:
        console.say(f"Backbone {request.backbone.handle}: {remark}")
    backbones = SizedBackbones(request.backbone, backbone)
    backbones.require(request.views)
    source = open_source(request.source)
    if source.ignored:
        console.say(
            f"Ignored, since they are no pictures: {len(source.ignored):,} "
            f"files, among them {', '.join(source.ignored[:NUM_NAMED])}."
        )
    # Of a sample that was asked for, classes may be missing.
    unknown = [] if request.source.limit else find_unknown_classes(source)
    if unknown:
        console.say(
            f"Warning: all pictures of {len(unknown):,} of "
            f"{len(source.class_names):,} classes fell to the test split, of "
            f"{unknown[0]!r} for one. No head can learn these: add pictures "
            "of them, or divide the pictures yourself, in train/ and test/."
        )
    spec = create_spec(request, source, backbone)
    most = max(split.num_images for split in spec.splits.values())
    shape = most, len(request.views), backbone.feature_dim
    require_part_size(request.dtype, shape, request.max_file_bytes)
    path = cache_path or _default_path(artifacts_dir, request, spec)
    pictures = CurrentPictures(source, console)
    folders = [path.parent, artifacts_dir / CACHES]
    lookup = Lookup(
        request, spec, pictures, path, folders, is_named=cache_path is not None
    )

    def find_finished() -> BuildResult | None:
        found = None if is_overwrite else lookup.find_finished()
        if found is None:
            return None
        views = ", ".join(found.spec.views)
        console.say(
            f"The cache {found.path} holds these vectors already (views: "
            f"{views})."
        )
        if other := _describe_layout(found, request.max_file_bytes):
            console.say(other)
        touch(found.path)
        return BuildResult(found, 0, 0, {"total": time.monotonic() - began})

    if finished := find_finished():
        if not is_being_built(finished.cache.path):
            remove_leftover(finished.cache.path)
            remove_leftover_parts(finished.cache.path, console)
        return finished
    with lock_build(path, is_waiting=is_waiting, console=console):
        # Another builder may have finished since; it need not be waited for.
        if finished := find_finished():
            return finished
        if path.exists():
            console.say(
                f"Replacing {path}. Runs and searches made on it are refused "
                "where its pictures have changed."
            )
        blocks_dir = open_blocks_dir(request.blocks, path, spec)
        tell_of_other_place(path, blocks_dir, console)
        prepare_build_dir(
            path, spec, is_overwrite=is_overwrite, blocks_dir=blocks_dir
        )
        build = Build(
            request,
            spec,
            source,
            pictures,
            backbones,
            path,
            lambda: [] if is_overwrite else lookup.find_parents(blocks_dir),
            blocks_dir=blocks_dir,
        )
        cache = build.finish(console)
    return BuildResult(
        cache=cache,
        num_computed=build.num_computed,
        num_decoded=build.num_decoded,
        seconds={**build.seconds, "total": time.monotonic() - began},
    )


def _describe_layout(cache: FeatureCache, max_file_bytes: int) -> str:
    """Returns what to say where a finished cache is not cut as asked for.

    One that was cut on purpose is as it should be if nothing else is asked.
    """
    parted, num_bytes = cache.seal.parted, cache.files.list_sizes()[0]
    if parted is None:
        if num_bytes <= max_file_bytes:
            return ""
        layout = f"one file of {format_size(num_bytes)}"
    else:
        if max_file_bytes in (parted.max_file_bytes, DEFAULT_MAX_FILE_BYTES):
            return ""
        layout = f"files of up to {format_size(parted.max_file_bytes)}"
    return (
        f"It stays as it was written, with its features in {layout}. To have "
        f"them in files of up to {format_size(max_file_bytes)}, run the same "
        "command with `--cache PATH`, a new name beside it: nothing is "
        "computed again."
    )


def _default_path(
    artifacts_dir: Path, request: BuildRequest, spec: CacheSpec
) -> Path:
    """Returns `caches/NAME-FINGERPRINT.h5`, NAME being for people."""
    name = name_dataset(request.source.dataset)
    return artifacts_dir / CACHES / f"{name}-{spec.fingerprint()}.h5"
