"""Parents: where a build finds rows that were computed before.

The finished caches and the blocks of builds that did not come to their end.
Both know their rows by id and by the content of the picture.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embed.ahead import map_ahead
from embed.building.blocks import BLOCK_COLUMNS
from embed.building.blocks import BLOCK_ROWS
from embed.building.blocks import INDEX_COLUMNS
from embed.building.blocks import read_arrays
from embed.building.current import UNREADABLE
from embed.building.reader import NUM_AHEAD
from embed.building.reader import BlockReader
from embed.building.remote import AnyPath
from embed.building.remote import list_folder
from embed.building.stamps import read_stamps
from embed.cache import FeatureCache
from embed.errors import CorruptCacheError
from embed.errors import DamagedParentError
from embed.rows import DIGEST_BYTES
from embed.storage.seal import BUILD_COMMAND


@dataclasses.dataclass(frozen=True)
class KnownRows:
    """What a parent knows of a split.

    Args:
        image_ids: Ids, by position in the parent.
        content_digests: uint8 `(num_rows, 32)`.
        is_oriented: Booleans `(num_rows,)`.
        stamps: int64 `(num_rows, 3)`, -1 where they tell nothing.
        errors: By position why a picture could not be decoded.
    """

    image_ids: tuple[str, ...]
    content_digests: np.ndarray
    is_oriented: np.ndarray
    stamps: np.ndarray
    errors: dict[int, str] = dataclasses.field(default_factory=dict)


class Parent(abc.ABC):
    """Rows that were computed before.

    Args:
        path: Where they lie.
        views: Names of the views, in the order they are stored.
    """

    def __init__(self, path: AnyPath, views: tuple[str, ...]) -> None:
        self.path, self.views = path, views
        self._known: dict[str, KnownRows] = {}
        self._counts: dict[str, int] = {}

    def known(self, split: str) -> KnownRows:
        """Returns what is known of a split, without the features."""
        if split not in self._known:
            known = self._known[split] = self._find_known(split)
            self._counts[split] = len(known.image_ids)
        return self._known[split]

    def count(self, split: str) -> int:
        """Returns how many rows of a split are known."""
        if split not in self._counts:
            self.known(split)
        return self._counts[split]

    def forget(self, split: str) -> None:
        """Frees the memory of what is known; it is read again if need be."""
        self._known.pop(split, None)

    @abc.abstractmethod
    def _find_known(self, split: str) -> KnownRows:
        """Reads what is known of a split."""

    @abc.abstractmethod
    def read(self, split: str, positions: np.ndarray) -> np.ndarray:
        """Returns features `(num_rows, num_views, feature_dim)`, checked.

        Raises:
            CorruptCacheError: If they are not what was written.
        """


class CacheParent(Parent):
    """The rows of a cache, and the pictures it left out.

    Args:
        cache: The cache.
        max_pixels: A picture that was left out is known to be bad only where
            the limit is the same.
        is_good: By split booleans: rows to be used; default: all.
    """

    def __init__(
        self,
        cache: FeatureCache,
        *,
        max_pixels: int,
        is_good: dict[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__(cache.path, cache.spec.views)
        self.cache = cache
        made = cache.provenance
        limit = made.max_pixels_of_skipped or made.max_pixels
        self._knows_errors = limit == max_pixels
        self._is_good = is_good

    def _find_known(self, split: str) -> KnownRows:
        if self._is_good is not None:
            return self._known_good(split, self._is_good[split])
        index = self.cache.index(split)
        stamps = read_stamps(self.cache, split)
        skipped = [
            image
            for image in self.cache.provenance.skipped
            if image.split == split and self._knows_errors
        ]
        count = len(index.labels)
        digests = b"".join(
            bytes.fromhex(i.content_digest) or UNREADABLE for i in skipped
        )
        return KnownRows(
            image_ids=index.image_ids + tuple(i.image_id for i in skipped),
            content_digests=np.concatenate(
                [
                    index.content_digests,
                    np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES),
                ]
            ),
            is_oriented=np.pad(index.is_oriented, (0, len(skipped))) != 0,
            stamps=np.pad(
                stamps, ((0, len(skipped)), (0, 0)), constant_values=-1
            ),
            errors={
                count + place: image.reason
                for place, image in enumerate(skipped)
            },
        )

    def read(self, split: str, positions: np.ndarray) -> np.ndarray:
        """Returns features `(num_rows, num_views, feature_dim)`, checked."""
        if self._is_good is not None:
            positions = np.flatnonzero(self._is_good[split])[positions]
        try:
            pieces = self.cache.read_rows(split, positions)
            return np.concatenate([stored.features for _, stored in pieces])
        except CorruptCacheError as error:
            if self._is_good is not None:
                raise
            raise DamagedParentError(str(error), self.cache.path) from error

    def forget(self, split: str) -> None:
        """Frees the memory of what is known; it is read again if need be."""
        super().forget(split)
        self.cache.forget_index(split)

    def pass_over_damage(self) -> None:
        """Reads all of the cache, and knows its good rows alone from here."""
        self._is_good = {
            split: find_good_rows(self.cache, split)
            for split in self.cache.num_images
        }
        self._known.clear()
        self._counts.clear()

    def _known_good(self, split: str, is_good: np.ndarray) -> KnownRows:
        """Reads the good rows of a damaged cache; each vouches for itself."""
        rows = np.flatnonzero(is_good)
        index = self.cache.index_of_good(split, rows)
        return KnownRows(
            image_ids=index.image_ids,
            content_digests=index.content_digests,
            is_oriented=index.is_oriented != 0,
            stamps=np.full((len(rows), 3), -1),
        )


class BlocksParent(Parent):
    """The blocks of a build that is not finished.

    Args:
        blocks_dir: Folder of its blocks.
        views: Names of the views, in the order they are stored.
        is_checked: Whether this process has read, or written, all blocks
            before, so that damage was found in time; features are read when
            they are asked for then.
    """

    def __init__(
        self,
        blocks_dir: AnyPath,
        views: tuple[str, ...],
        *,
        is_checked: bool = False,
    ) -> None:
        super().__init__(blocks_dir, views)
        self._names = INDEX_COLUMNS if is_checked else BLOCK_COLUMNS
        self._starts: dict[str, np.ndarray] = {}
        self._readers: dict[str, BlockReader] = {}

    def _find_known(self, split: str) -> KnownRows:
        indexes, whole = [], []
        paths = list_folder(self.path / split, "*.npz")
        read = functools.partial(read_arrays, names=self._names)
        with ThreadPoolExecutor(NUM_AHEAD) as pool:
            found = map_ahead(pool, read, paths, NUM_AHEAD)
            for path, arrays in zip(paths, found, strict=True):
                if arrays is not None:
                    indexes.append({n: arrays[n] for n in INDEX_COLUMNS})
                    whole.append(path)
        self._readers[split] = BlockReader(whole)
        sizes = [len(arrays["image_ids"]) for arrays in indexes]
        self._starts[split] = np.cumsum([0, *sizes])

        def join(name: str, empty: np.ndarray) -> np.ndarray:
            return np.concatenate([empty, *(a[name] for a in indexes)])

        return KnownRows(
            image_ids=tuple(
                image_id.decode()
                for arrays in indexes
                for image_id in arrays["image_ids"].tolist()
            ),
            content_digests=join(
                "content_digests", np.empty((0, DIGEST_BYTES), np.uint8)
            ),
            is_oriented=join("is_oriented", np.empty(0, bool)),
            stamps=join("stamps", np.empty((0, 3), np.int64)),
        )

    def read(self, split: str, positions: np.ndarray) -> np.ndarray:
        """Returns features `(num_rows, num_views, feature_dim)`, checked."""
        known, starts = self.known(split), self._starts[split]
        files = np.searchsorted(starts, positions, side="right") - 1
        reader = self._readers[split]
        pieces = []
        for number in np.unique(files).tolist():
            of_file = positions[files == number]
            block, rows = reader.read(number), of_file - starts[number]
            expected = known.content_digests[of_file]
            # Whoever builds it may write it anew, with rows elsewhere.
            if (
                block is None
                or rows.max() >= len(block)
                or not np.array_equal(block.content_digests[rows], expected)
            ):
                raise self._lost(reader.path(number))
            pieces.append(block.features[rows])
        order = np.argsort(files, kind="stable")
        features = np.concatenate(pieces)
        result = np.empty_like(features)
        result[order] = features
        return result

    def _lost(self, block: AnyPath) -> DamagedParentError:
        return DamagedParentError(
            f"The block {block} was damaged, written anew or removed while the "
            f"cache was built. Run `{BUILD_COMMAND}` again: it computes what "
            "it cannot take over.",
            self.path,
        )


def find_good_rows(
    cache: FeatureCache,
    split: str,
    on_rows: Callable[[int], None] = lambda num_rows: None,
) -> np.ndarray:
    """Reads a split, and tells which rows are what was written.

    Args:
        cache: Damaged, perhaps.
        split: `"train"` or `"test"`.
        on_rows: Called with the number of rows that were read.

    Returns:
        Booleans `(num_rows,)`.
    """
    rows = np.arange(cache.num_images[split])
    is_good = np.empty(len(rows), bool)
    for start in range(0, len(rows), BLOCK_ROWS):
        piece = rows[start : start + BLOCK_ROWS]
        is_good[piece] = cache.read_unchecked(split, piece)[1]
        on_rows(len(piece))
    return is_good
