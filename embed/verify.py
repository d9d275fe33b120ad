"""Verify a cache, byte by byte and through the backbone, and repair it."""

import dataclasses
from pathlib import Path

import numpy as np

from embed.agreement import TOLERANCES
from embed.agreement import compare
from embed.artifacts import touch
from embed.backbones import load_backbone
from embed.blocks import BLOCK_ROWS
from embed.build import Build
from embed.build_request import BuildRequest
from embed.build_request import create_spec
from embed.cache import FeatureCache
from embed.cache import open_damaged
from embed.console import Console
from embed.current import CurrentPictures
from embed.engines import choose_engine
from embed.errors import CorruptCacheError
from embed.errors import EngineError
from embed.errors import PipelineError
from embed.errors import StaleCacheError
from embed.lock import lock_build
from embed.origin import decoder_of
from embed.origin import load_backbone_of
from embed.origin import read_pictures
from embed.parents import CacheParent
from embed.seal import BUILD_COMMAND
from embed.sources import open_source
from embed.spec import describe_differences
from embed.splits import hash_id
from embed.views import VIEWS

DEFAULT_SAMPLE = 32  # Pictures recomputed a split: a second of a CPU.
# The tolerance is that of many vectors; single ones vary, and those of another
# picture are off by 1 or more.
SINGLE_SHARE = 2.0
OTHER_BYTES = "other bytes than were written"
FOREIGN = "features that the backbone does not answer"


@dataclasses.dataclass(frozen=True)
class BadBlock:
    """A block of rows that are not what was written, or not what they should.

    Args:
        split: `"train"` or `"test"`.
        block: Its number: rows from 256 times that.
        rows: The bad rows, by number.
        reason: What is wrong with them.
    """

    split: str
    block: int
    rows: tuple[int, ...]
    reason: str

    def describe(self) -> str:
        """Returns one line for people."""
        start = self.block * BLOCK_ROWS
        return (
            f"{self.split} block {self.block} (rows {start:,} to "
            f"{start + BLOCK_ROWS - 1:,}): {self.reason} in "
            f"{len(self.rows)} rows, row {self.rows[0]:,} the first"
        )


@dataclasses.dataclass(frozen=True)
class Verification:
    """What is wrong with a cache.

    Args:
        cache: The cache, damaged or not.
        faults: What is wrong with the file but for its rows, in words.
        bad_blocks: What is wrong with rows.
        num_rows: Rows that were read.
        num_recomputed: Pictures whose rows were recomputed.
        remark: Why none were, or `""`.
    """

    cache: FeatureCache
    faults: tuple[str, ...]
    bad_blocks: tuple[BadBlock, ...]
    num_rows: int
    num_recomputed: int
    remark: str

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults and not self.bad_blocks

    def is_good(self, split: str) -> np.ndarray:
        """Returns which rows of a split are good, booleans `(num_rows,)`."""
        is_good = np.ones(self.cache.num_images[split], bool)
        for block in self.bad_blocks:
            if block.split == split:
                is_good[list(block.rows)] = False
        return is_good


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


def verify_cache(
    path: Path, *, num_sampled: int = DEFAULT_SAMPLE, console: Console
) -> Verification:
    """Checks every byte of a cache, and recomputes a sample of its rows.

    Args:
        path: Of the cache.
        num_sampled: Pictures to run through the backbone again, at most.
        console: Receives progress.

    Raises:
        MissingArtifactError: If there is no cache.
        CorruptCacheError: If so little is left that it does not say what it
            held.
        StaleCacheError: If it is of another schema.
    """
    cache = open_damaged(path)
    body_fault = cache.body_fault()
    faults = [*cache.damaged_seals(), *([body_fault] if body_fault else [])]
    bad_blocks: list[BadBlock] = []
    total = sum(cache.num_images.values())
    with console.progress("Verifying", total, "rows") as progress:
        for split, num_rows in cache.num_images.items():
            for number, start in enumerate(range(0, num_rows, BLOCK_ROWS)):
                rows = np.arange(start, min(start + BLOCK_ROWS, num_rows))
                _, is_good = cache.read_unchecked(split, rows)
                if not is_good.all():
                    bad = tuple(rows[~is_good].tolist())
                    bad_blocks.append(BadBlock(split, number, bad, OTHER_BYTES))
                progress.advance(len(rows))
    num_recomputed, remark = 0, ""
    if not faults and not bad_blocks and num_sampled:
        try:
            num_recomputed, bad_blocks = _recompute(cache, num_sampled)
        except PipelineError as error:
            remark = f"No row was recomputed: {error}"
    return Verification(
        cache=cache,
        faults=tuple(faults),
        bad_blocks=tuple(bad_blocks),
        num_rows=total,
        num_recomputed=num_recomputed,
        remark=remark,
    )


def repair_cache(found: Verification, *, console: Console) -> Repair:
    """Computes the bad rows of a cache again and writes it anew.

    The old file stands until the new one is whole.

    Args:
        found: What is wrong with the cache.
        console: Receives progress and remarks.

    Raises:
        StaleCacheError: If the pictures or the backbone are others by now.
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
    with lock_build(cache.path, is_waiting=False, console=console):
        build = Build(
            request,
            spec,
            source,
            CurrentPictures(source, console),
            backbone,
            request.engine,
            cache.path,
            parents=[
                CacheParent(
                    cache, max_pixels=request.max_pixels, is_good=is_good
                )
            ],
        )
        build.compute_missing(console)
        mended = build.assemble(console)
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
    made = cache.provenance
    try:
        engine = choose_engine(made.engine, cache.spec.precision)
    except EngineError:
        engine = choose_engine("auto", cache.spec.precision)
    return BuildRequest(
        source=made.source,
        backbone=made.backbone,
        views=cache.spec.views,
        precision=cache.spec.precision,
        dtype=cache.spec.dtype,
        engine=engine,
        on_error="skip" if made.skipped else "fail",
        max_pixels=made.max_pixels,
    )


def _recompute(
    cache: FeatureCache, num_sampled: int
) -> tuple[int, list[BadBlock]]:
    """Runs some pictures of each split through the backbone again.

    Returns:
        How many, and the blocks in which they differ.

    Raises:
        PipelineError: If pictures or backbone cannot be had any more.
    """
    backbone = load_backbone_of(cache)
    decoder = decoder_of(cache)
    num_recomputed, bad_blocks = 0, []
    for split in cache.num_images:
        ids = cache.image_ids(split)
        hashes = [hash_id(image_id, salt="verify") for image_id in ids]
        rows = np.sort(np.argsort(hashes)[:num_sampled])
        sampled = [ids[row] for row in rows.tolist()]
        pictures = read_pictures(cache, split, sampled)
        images = np.stack([decoder(encoded) for encoded in pictures])
        expected = np.stack(
            [
                np.asarray(backbone.model(VIEWS[v](images), training=False))
                for v in cache.spec.views
            ],
            axis=1,
        )
        stored = np.concatenate(
            [stored.features for _, stored in cache.read_rows(split, rows)]
        )
        differences = compare(
            stored.reshape(-1, cache.feature_dim),
            expected.reshape(-1, cache.feature_dim),
            cache.spec.precision,
        ).reshape(len(rows), -1)
        is_far = differences.max(axis=1) > _tolerance(cache)
        for number in np.unique(rows[is_far] // BLOCK_ROWS):
            bad = rows[is_far & (rows // BLOCK_ROWS == number)]
            bad_blocks.append(
                BadBlock(split, int(number), tuple(bad.tolist()), FOREIGN)
            )
        num_recomputed += len(rows)
    return num_recomputed, bad_blocks


def _tolerance(cache: FeatureCache) -> float:
    """Returns how far a stored vector may be from the reference."""
    precision, dtype = cache.spec.precision, cache.spec.dtype
    single = SINGLE_SHARE if precision == "bfloat16" else 1.0
    rounding = float(np.finfo(dtype).eps) if dtype == "float16" else 0.0
    return TOLERANCES[precision] * single + rounding
