"""Repair a damaged cache: compute its bad rows again, and only those."""

import dataclasses
import sys
from typing import Any

import numpy as np

from embed.artifacts import touch
from embed.backbones import load_backbone
from embed.backbones.sized import SizedBackbones
from embed.building.build import Build
from embed.building.current import CurrentPictures
from embed.building.current import find_rows
from embed.building.folder import build_dir_of
from embed.building.folder import prepare_build_dir
from embed.building.folder import tell_of_other_place
from embed.building.lock import lock_build
from embed.building.parents import CacheParent
from embed.building.request import BuildRequest
from embed.building.request import create_spec
from embed.cache import FeatureCache
from embed.console import Console
from embed.engines import list_candidates
from embed.errors import CorruptCacheError
from embed.errors import EngineError
from embed.errors import StaleCacheError
from embed.sources import open_source
from embed.spec import describe_differences
from embed.storage.seal import BUILD_COMMAND
from embed.upkeep.verify import FOREIGN
from embed.upkeep.verify import Verification


@dataclasses.dataclass(frozen=True)
class Repair:
    """What a repair did.

    Args:
        num_rows: Bad rows that were computed again.
        num_identical: Those that are now, bit by bit, what was written first.
        num_computed: Views run through the backbone.
    """

    num_rows: int
    num_identical: int
    num_computed: int

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return dataclasses.asdict(self)

    def to_text(self) -> str:
        """Returns what was done, for people."""
        if not self.num_rows:
            return "Repaired: the file was written anew; no row was damaged."
        return (
            f"Repaired: {self.num_rows} rows, {self.num_computed} views "
            f"computed; {self.num_identical} rows are bit by bit what was "
            f"written first{self._hint()}."
        )

    def _hint(self) -> str:
        if self.num_identical == self.num_rows:
            return ""
        return ", the others of another engine or of a picture replaced since"


def repair_cache(found: Verification, *, console: Console) -> Repair:
    """Computes the bad rows of a cache again and writes it anew.

    The old file stands until the new one is whole.

    Args:
        found: What is wrong with the cache.
        console: Receives progress and remarks.

    Raises:
        StaleCacheError: If ids, labels or the backbone are others by now, or
            the file is another than was verified.
        CorruptCacheError: If the rows never were the backbone's.
        PipelineError: If they cannot be had, or the cache is being built.
    """
    cache = found.cache
    if any(block.reason == FOREIGN for block in found.bad_blocks):
        raise CorruptCacheError(
            f"The cache {cache.path} holds {FOREIGN} of its pictures, though "
            "its bytes are what was written: its other rows cannot be trusted "
            f"either. Build it again with `{BUILD_COMMAND} --overwrite`."
        )
    request = _request_of(cache)
    backbone = load_backbone(request.backbone)
    source = open_source(request.source)
    spec = create_spec(request, source, backbone)
    if spec != cache.spec:
        raise StaleCacheError(
            f"The cache {cache.path} cannot be repaired: what it was built "
            f"from has changed. {describe_differences(cache.spec, spec)} Put "
            f"the old inputs back, or build a new cache with `{BUILD_COMMAND}`,"
            " which takes over what is equal and whole."
        )
    is_good = {split: found.is_good(split) for split in cache.num_images}
    parent = CacheParent(cache, max_pixels=request.max_pixels, is_good=is_good)
    pictures = CurrentPictures(source, console)
    for split in cache.num_images:
        # Good rows stay what they are, also where a picture was replaced.
        known = parent.known(split)
        rows = find_rows(pictures.image_ids(split), known.image_ids)
        pictures.learn(split, rows, known.content_digests)
        pictures.forget_stamps(split, rows)
    with lock_build(cache.path, is_waiting=False, console=console):
        if not cache.files.is_current():
            raise StaleCacheError(
                f"The cache {cache.path} was replaced after it was verified, "
                "and is left as it is. Verify it again with `python -m embed "
                f"verify --cache {cache.path}`."
            )
        tell_of_other_place(cache.path, build_dir_of(cache.path), console)
        prepare_build_dir(cache.path, spec)
        build = Build(
            request,
            spec,
            source,
            pictures,
            SizedBackbones(request.backbone, backbone),
            cache.path,
            lambda: [parent],
        )
        mended = build.finish(console)
    touch(mended.path)
    num_identical = num_bad = 0
    for split, good in is_good.items():
        rows = np.flatnonzero(~good)
        old = cache.row_digests(split, rows)
        if mended.num_images[split] == len(good):
            new = mended.row_digests(split, rows)
            num_identical += int((old == new).all(axis=1).sum())
        num_bad += len(rows)
    return Repair(num_bad, num_identical, build.num_computed)


def _request_of(cache: FeatureCache) -> BuildRequest:
    """Returns the request that builds a cache again."""
    made, parted = cache.provenance, cache.seal.parted
    engine = made.engine
    try:
        list_candidates(engine, cache.spec.precision)
    except EngineError:
        engine = "auto"
    return BuildRequest(
        source=made.source,
        backbone=made.backbone,
        views=cache.spec.views,
        precision=cache.spec.precision,
        dtype=cache.spec.dtype,
        engine=engine,
        on_error="skip" if made.skipped else "fail",
        max_pixels=made.max_pixels,
        # The layout stays what it is.
        max_file_bytes=parted.max_file_bytes if parted else sys.maxsize,
    )
