"""Verify a cache: byte by byte, and a sample of rows by the backbone."""

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embed.backbones.sized import SizedBackbones
from embed.building.agreement import TOLERANCES
from embed.building.agreement import compare
from embed.building.blocks import BLOCK_ROWS
from embed.building.parents import find_good_rows
from embed.cache import FeatureCache
from embed.cache import open_damaged
from embed.console import Console
from embed.errors import PipelineError
from embed.origin import Originals
from embed.origin import decode_views
from embed.origin import load_backbones_of
from embed.splits import sample_rows
from embed.storage.seal import corrupt

DEFAULT_SAMPLE = 32  # Pictures recomputed a split: a second of a CPU.
NUM_AT_ONCE = 32  # Pictures in memory, with all views: 40 MB of two at 224 px.
# The tolerance is that of many vectors; single ones vary, and those of another
# picture are off by 1 or more.
SINGLE_SHARE = 2.0
NUM_LISTED = 5  # Faults named in the error line.
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

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "cache": str(self.cache.path),
            "ok": self.is_ok,
            "bad_blocks": [
                {
                    "split": block.split,
                    "block": block.block,
                    "rows": block.rows,
                    "reason": block.reason,
                }
                for block in self.bad_blocks
            ],
            "faults": self.faults,
            "num_rows": self.num_rows,
            "num_recomputed": self.num_recomputed,
            "remark": self.remark,
        }

    def to_text(self) -> str:
        """Returns what was found as lines for people."""
        lines = [f"Bad: {block.describe()}." for block in self.bad_blocks]
        lines += [f"Bad: {fault}." for fault in self.faults]
        if not lines:
            lines.append(
                f"Good: every byte of {self.num_rows:,} rows, and "
                f"{self.num_recomputed} pictures recomputed."
            )
        return "\n".join([*lines, *([self.remark] if self.remark else [])])

    def require_ok(self) -> None:
        """Refuses a cache that is damaged.

        Raises:
            CorruptCacheError: If anything is wrong.
        """
        if not self.is_ok:
            named = [block.describe() for block in self.bad_blocks]
            shown = [*self.faults, *named][:NUM_LISTED]
            raise corrupt(self.cache.path, "; ".join(shown))

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


def verify_cache(
    path: Path,
    *,
    num_sampled: int = DEFAULT_SAMPLE,
    moved: Mapping[str, str] | None = None,
    console: Console,
) -> Verification:
    """Checks every byte of a cache, and recomputes a sample of its rows.

    Args:
        path: Of the cache.
        num_sampled: Pictures of each split to run through the backbone again,
            at most.
        moved: Fields of the `SourceRequest` that are others by now.
        console: Receives progress.

    Raises:
        MissingArtifactError: If there is no cache.
        CorruptCacheError: If so little is left that it does not say what it
            held.
        StaleCacheError: If it is of another schema.
    """
    cache = open_damaged(path)
    source = cache.provenance.source.model_copy(update=dict(moved or {}))
    cache.provenance = cache.provenance.model_copy(
        update={"source": source.anchored()}
    )
    faults = [*cache.damaged_seals(), *cache.body_faults()]
    bad_blocks: list[BadBlock] = []
    total = sum(cache.num_images.values())
    with console.progress("Verifying", total, "rows") as progress:
        for split in cache.num_images:
            is_good = find_good_rows(cache, split, progress.advance)
            bad_blocks += _group(split, np.flatnonzero(~is_good), OTHER_BYTES)
    num_recomputed, remark = 0, ""
    if not faults and not bad_blocks and num_sampled:
        try:
            num_recomputed, num_changed, bad_blocks = _recompute(
                cache, num_sampled
            )
            if num_changed:
                remark = (
                    f"Of the sampled pictures {num_changed} were not "
                    "recomputed: changed since the cache was built, or gone."
                )
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


def _recompute(
    cache: FeatureCache, num_sampled: int
) -> tuple[int, int, list[BadBlock]]:
    """Runs some pictures of each split through the backbone again.

    Returns:
        How many, how many more have changed since or are gone, and the
        blocks in which features differ.

    Raises:
        PipelineError: If source or backbone cannot be had any more.
    """
    backbones, originals = load_backbones_of(cache), Originals(cache)
    num_recomputed, num_changed = 0, 0
    bad_blocks: list[BadBlock] = []
    for split in cache.num_images:
        sample = sample_rows(cache.image_ids(split), num_sampled, "verify")
        pictures = originals.find_unchanged(split, sample)
        found: list[int] = []
        features: list[np.ndarray] = []
        while piece := list(itertools.islice(pictures, NUM_AT_ONCE)):
            found += [row for row, _ in piece]
            features.append(_embed(cache, backbones, [e for _, e in piece]))
        num_changed += len(sample) - len(found)
        if not found:
            continue
        order = np.argsort(found)
        rows, expected = np.array(found)[order], np.concatenate(features)[order]
        stored = np.concatenate(
            [stored.features for _, stored in cache.read_rows(split, rows)]
        )
        differences = compare(
            stored.reshape(-1, cache.feature_dim),
            expected.reshape(-1, cache.feature_dim),
            cache.spec.precision,
        ).reshape(len(rows), -1)
        # Also where they are no numbers.
        is_far = ~(differences <= _tolerance(cache)).all(axis=1)
        bad_blocks += _group(split, rows[is_far], FOREIGN)
        num_recomputed += len(rows)
    return num_recomputed, num_changed, bad_blocks


def _embed(
    cache: FeatureCache, backbones: SizedBackbones, encoded: list[bytes]
) -> np.ndarray:
    """Returns features `(num_pictures, num_views, feature_dim)`."""
    images = [decode_views(cache, one, cache.spec.views) for one in encoded]
    of_views = [
        backbones.at(of_view[0].shape[:2]).embed(np.stack(of_view))
        for of_view in zip(*images, strict=True)
    ]
    return np.stack(of_views, axis=1)


def _group(split: str, bad_rows: np.ndarray, reason: str) -> list[BadBlock]:
    """Divides bad rows by the block in which they are."""
    numbers = bad_rows // BLOCK_ROWS
    return [
        BadBlock(
            split,
            int(number),
            tuple(bad_rows[numbers == number].tolist()),
            reason,
        )
        for number in np.unique(numbers)
    ]


def _tolerance(cache: FeatureCache) -> float:
    """Returns how far a stored vector may be from the reference."""
    precision, dtype = cache.spec.precision, cache.spec.dtype
    single = SINGLE_SHARE if precision == "bfloat16" else 1.0
    rounding = float(np.finfo(dtype).eps) if dtype == "float16" else 0.0
    return TOLERANCES[precision] * single + rounding
