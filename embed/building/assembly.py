"""From known rows to the finished file of a cache."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embed.building.blocks import BLOCK_ROWS
from embed.building.current import UNREADABLE
from embed.building.current import CurrentPictures
from embed.building.folder import BUILDING
from embed.building.folder import cache_path_of
from embed.building.folder import finish_blocks
from embed.building.folder import read_place
from embed.building.folder import read_spec
from embed.building.lock import lock_build
from embed.building.parents import BlocksParent
from embed.building.parents import CacheParent
from embed.building.plan import NOBODY
from embed.building.plan import Plan
from embed.building.remote import AnyPath
from embed.building.remote import identify
from embed.building.result import BadImage
from embed.building.stamps import write_stamps
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.console import Console
from embed.decoding.formats import FORMATS
from embed.errors import BadImagesError
from embed.errors import BusyCacheError
from embed.errors import CorruptCacheError
from embed.errors import StorageError
from embed.provenance import Provenance
from embed.provenance import SkippedImage
from embed.sources import Source
from embed.spec import CacheSpec
from embed.spec import is_kin
from embed.storage.seal import BUILD_COMMAND
from embed.storage.writer import FeatureRows
from embed.storage.writer import SplitContent
from embed.storage.writer import write_cache

NUM_LISTED = 5  # Bad pictures named in the error line; stderr lists them all.


def name_caches(plan: Plan) -> tuple[str, ...]:
    """Returns the names of the caches from which a plan takes rows."""
    return tuple(parent.path.name for parent in used_caches(plan))


def used_caches(plan: Plan) -> list[CacheParent]:
    """Returns the caches from which a plan takes rows."""
    return [p for p in plan.used_parents() if isinstance(p, CacheParent)]


class Assembly:
    """The rows of a cache that is about to be written.

    Args:
        plan: Where they come from.
        spec: What they are determined by.
        source: Knows ids and labels.
        pictures: The same, as they are now.
        bad: By split and row the pictures that cannot be decoded.

    Raises:
        CorruptCacheError: If a row is neither known nor bad.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        spec: CacheSpec,
        source: Source,
        pictures: CurrentPictures,
        bad: dict[tuple[str, int], BadImage],
    ) -> None:
        self._plan, self._spec = plan, spec
        self._source, self._pictures = source, pictures
        self._bad = {**self._known_bad(), **bad}
        self._rows = {split: self._good_rows(split) for split in spec.splits}
        caches = used_caches(plan)
        self.parent_names = name_caches(plan)
        self.engine = caches[0].cache.provenance.engine if caches else ""
        self.max_pixels = max(
            (parent.cache.provenance.max_pixels for parent in caches), default=0
        )

    @property
    def skipped(self) -> tuple[SkippedImage, ...]:
        """The pictures without a row, by split and row."""
        return tuple(
            SkippedImage(
                split=split,
                image_id=self._source.splits[split].image_ids[row],
                reason=image.reason,
                content_digest=image.content_digest.hex()
                if image.content_digest != UNREADABLE
                else "",
            )
            for split in self._spec.splits
            for (name, row), image in sorted(self._bad.items())
            if name == split
        )

    @property
    def num_oriented(self) -> int:
        """Number of pictures with an EXIF orientation."""
        return sum(
            int(self._plan.known(split, rows)[1].sum())
            for split, rows in self._rows.items()
        )

    def require_rows(self, on_error: str, console: Console) -> None:
        """Refuses bad pictures, where that is wanted, and empty splits.

        Raises:
            BadImagesError: Names them; the console has listed them all.
        """
        skipped = self.skipped
        for image in skipped:
            console.say(f"{image.split} {image.image_id}: {image.reason}")
        is_whole = all(len(rows) for rows in self._rows.values())
        if not skipped or (on_error == "skip" and is_whole):
            return
        named = ", ".join(
            f"{image.image_id} ({image.reason})"
            for image in skipped[:NUM_LISTED]
        )
        more = len(skipped) - NUM_LISTED
        advice = "leave them out with `--on-error skip`"
        if not is_whole:
            advice = "add others, since nothing of a split would be left"
        raise BadImagesError(
            f"{len(skipped)} pictures cannot be decoded: {named}"
            f"{f' and {more} more, listed above' if more > 0 else ''}. "
            f"Expected: {FORMATS}. The other features are kept: "
            f"mend or remove them and run `{BUILD_COMMAND}` again, or "
            f"{advice}."
        )

    def write(
        self,
        path: Path,
        provenance: Provenance,
        feature_dim: int,
        max_file_bytes: int | None = None,
    ) -> FeatureCache:
        """Writes the cache and what its pictures are known by.

        Args:
            path: Where it goes.
            provenance: How it came about.
            feature_dim: Number of features a vector.
            max_file_bytes: See `write_cache`.
        """
        write_cache(
            path,
            spec=self._spec,
            provenance=provenance,
            feature_dim=feature_dim,
            splits={
                split: SplitContent(
                    image_ids=self._source.splits[split].take(rows).image_ids,
                    labels=self._source.splits[split].labels[rows],
                    read=functools.partial(self._read, split),
                )
                for split, rows in self._rows.items()
            },
            max_file_bytes=max_file_bytes,
        )
        cache = open_cache(path)
        write_stamps(
            cache,
            {
                split: self._pictures.stamps(split)[rows]
                for split, rows in self._rows.items()
            },
        )
        return cache

    def remove_used_up(self, folder: Path, console: Console) -> None:
        """Removes builds that were cut off, all of whose rows are used.

        A build whose bad pictures were taken away goes on under another name;
        one that holds any other row, or view, is kept.

        Args:
            folder: Of the caches that they were to become.
            console: Told what cannot be removed.
        """
        builds = {
            identify(read_place(build_dir)): build_dir
            for build_dir in folder.glob(f"*{BUILDING}")
        }
        for number, parent in enumerate(self._plan.parents):
            build_dir = builds.get(identify(parent.path))
            if (
                build_dir is None
                or not isinstance(parent, BlocksParent)
                or not all(
                    int((plan.parents == number).sum()) == parent.count(split)
                    for split, plan in self._plan.splits.items()
                )
            ):
                continue
            with (
                contextlib.suppress(
                    BusyCacheError, PermissionError, StorageError
                ),
                lock_build(
                    cache_path_of(build_dir),
                    is_waiting=False,
                    console=Console(is_quiet=True),
                ),
            ):
                if self._uses_all_of(number, parent.path):
                    finish_blocks(build_dir, parent.path, console)

    def _uses_all_of(self, number: int, blocks_dir: AnyPath) -> bool:
        """Tells whether all that a build holds by now is in the cache.

        It may have gone on, or begun anew, since the plan was made: whatever
        it holds is read once more, before it is removed.
        """
        held = read_spec(blocks_dir)
        if (
            held is None
            or not is_kin(self._spec, held)
            or not set(held.views) <= set(self._plan.views)
        ):
            return False
        now = BlocksParent(blocks_dir, held.views, is_checked=True)
        for split, plan in self._plan.splits.items():
            digests = now.known(split).content_digests
            rows = np.flatnonzero(plan.parents == number)
            rows = rows[np.argsort(plan.positions[rows])]
            if not np.array_equal(self._plan.known(split, rows)[0], digests):
                return False
        return True

    def _read(self, split: str) -> Iterator[FeatureRows]:
        """Yields rows for the file, some hundreds at a time."""
        rows = self._rows[split]
        for start in range(0, len(rows), BLOCK_ROWS):
            piece = rows[start : start + BLOCK_ROWS]
            digests, is_oriented = self._plan.known(split, piece)
            yield FeatureRows(
                features=self._plan.read(split, piece, self._spec.views),
                content_digests=digests,
                is_oriented=is_oriented,
            )

    def _known_bad(self) -> dict[tuple[str, int], BadImage]:
        return {
            (split, row): BadImage(
                row,
                self._pictures.digests(split, np.array([row])).tobytes(),
                reason,
            )
            for split, plan in self._plan.splits.items()
            for row, reason in plan.errors.items()
        }

    def _good_rows(self, split: str) -> np.ndarray:
        parents = self._plan.splits[split].parents
        partial = [
            number
            for number in range(NOBODY, len(self._plan.parents))
            if self._plan.missing_views(number)
        ]
        is_bad = np.zeros(len(parents), bool)
        is_bad[[row for name, row in self._bad if name == split]] = True
        num_lost = int((~is_bad & np.isin(parents, partial)).sum())
        if num_lost:
            raise CorruptCacheError(
                f"{num_lost} rows of {split} were damaged or removed while the "
                f"cache was built. Run `{BUILD_COMMAND}` again: it computes "
                "them."
            )
        return np.flatnonzero(~is_bad)
