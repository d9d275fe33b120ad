"""The feature cache: what a frozen backbone saw, in an HDF5 file.

Layout, schema 2, for each split of `n` images, `v` views per image and `d`
features:

    /SPLIT/features         float32 or float16 (n, v, d)  view 0 is the image
    /SPLIT/labels           int32   (n,)    class indices, from 0
    /SPLIT/image_ids        utf-8   (n,)    fixed length, zero-padded
    /SPLIT/content_digests  uint8   (n, 32) SHA-256 of each encoded image
    /SPLIT/is_oriented      uint8   (n,)    1: has an EXIF orientation
    /SPLIT/row_digests      uint8   (n, 32) SHA-256 of split, row number and
                                            all of the above
    attribute spec          canonical JSON of a `CacheSpec`, bytes
    attribute fingerprint   of that spec, bytes
    attribute provenance    JSON of a `Provenance`, bytes

Every column is contiguous, and every byte of the file is covered by a digest:
rows by their own, all else by the seal (`embed/storage/seal.py`), which is
checked when a cache is opened. Rows are read at their places, so that a
damaged file is never parsed. Equal specs give equal columns, bit by bit. A
cache is complete or absent: it is written beside its final path, then moved
there.

Of a cache that would be longer than a file may be, `/SPLIT/features` is a
virtual dataset over files in a folder beside it, which HDF5 finds as long as
the two lie together. What they hold is the same, down to the row digests:

    NAME.h5.parts/SPLIT-NUMBER.h5    some blocks of 256 rows each
        /features                    as above, contiguous
        attributes fingerprint, split, first_row

The seal of `NAME.h5` says of each of these files what it must be. They are on
disk before `NAME.h5` is moved to its place, and those of the cache that was
there go after that.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from embed.ahead import map_ahead
from embed.devices import num_cpu_threads
from embed.errors import MissingArtifactError
from embed.rows import INDEX_COLUMNS
from embed.rows import ROW_DIGESTS
from embed.rows import RowIndex
from embed.rows import Rows
from embed.rows import StoredRows
from embed.rows import digest_index
from embed.spec import digest_arrays
from embed.splits import Selection
from embed.storage.cache_files import CacheFiles
from embed.storage.columns import empty_aligned
from embed.storage.parts import FEATURES
from embed.storage.seal import BUILD_COMMAND
from embed.storage.seal import Seal
from embed.storage.seal import corrupt
from embed.storage.seal import read_seal
from embed.storage.seal import unopened

PIECE_ROWS = 256  # Read and checked by a thread at a time.


class FeatureCache:
    """A finished cache, opened for reading.

    It stays what it was when it was opened: a cache that is replaced or
    removed meanwhile goes on to be read. One with more parts than are held
    open (`embed/storage/part_files.py`) is refused then, by the digests of
    its rows, and never mixed up.

    Example:
        cache = open_cache(Path("artifacts/caches/pets-9f3c.h5"))
        rows = cache.take(Selection("test"))

    Args:
        path: Where it lies.
        descriptor: Of the open file, closed when the cache is let go.
        seal: What the file says of itself.
    """

    def __init__(self, path: Path, descriptor: int, seal: Seal) -> None:
        self.path = path
        self.seal = seal
        self.spec, self.provenance = seal.spec, seal.provenance
        self.fingerprint = seal.spec.fingerprint()
        shapes = {split: seal.shape_of(split) for split in seal.columns}
        self.num_images = {split: s[0] for split, s in shapes.items()}
        self.feature_dim = next(iter(shapes.values()))[2]
        self.files = CacheFiles(path, descriptor, seal)
        self._indexes: dict[str, RowIndex] = {}

    def take(self, selection: Selection, *, is_trusted: bool = False) -> Rows:
        """Reads the selected rows, each checked against its digest.

        Nothing is kept: the rows belong to the caller.

        Args:
            selection: Which rows.
            is_trusted: Whether this cache gave them before: no check then.

        Raises:
            CorruptCacheError: If a row is not what was written.
        """
        split, rows = selection.split, selection.rows
        if rows is None:
            rows = np.arange(self.num_images[split])
        features = empty_aligned(
            (len(rows), len(self.spec.views), self.feature_dim)
        )
        index = self.index(split)
        ids = index.image_ids
        if is_trusted and self.files.are_untouched(split, rows):
            for start in range(0, len(rows), PIECE_ROWS):
                piece = slice(start, start + PIECE_ROWS)
                self.files.fill(split, rows[piece], features[piece])
        else:
            for start, stored in self.read_rows(split, rows):
                features[start : start + len(stored)] = stored.features
        return Rows(
            features=features,
            labels=index.labels[rows],
            image_ids=tuple(ids[row] for row in rows.tolist()),
        )

    def labels(self, split: str) -> np.ndarray:
        """Returns the class indices of a split, int32 `(n,)`."""
        return self.index(split).labels

    def image_ids(self, split: str) -> tuple[str, ...]:
        """Returns the ids of a split in row order."""
        return self.index(split).image_ids

    def content_digests(self, split: str) -> np.ndarray:
        """Returns the SHA-256 of each encoded image, uint8 `(n, 32)`."""
        return self.index(split).content_digests

    def pictures_digest(self) -> str:
        """Returns the SHA-256 of what every picture held.

        The fingerprint knows pictures by id; this tells a picture that was
        replaced, or left out, under the same fingerprint. It does not depend
        on the engine.
        """
        return digest_arrays(
            self.content_digests(split) for split in sorted(self.num_images)
        )

    def read_rows(
        self, split: str, rows: np.ndarray
    ) -> Iterator[tuple[int, StoredRows]]:
        """Reads rows as they are stored, some hundreds at a time.

        Yields:
            The place in `rows` of the first of them, and the rows.

        Raises:
            CorruptCacheError: If a row is not what was written.
        """
        pieces = [
            (start, rows[start : start + PIECE_ROWS])
            for start in range(0, len(rows), PIECE_ROWS)
        ]
        # Of rows far apart each is a call; threads would wait for each other.
        is_scattered = bool(pieces) and rows[-1] - rows[0] > 2 * len(rows)
        num_threads = 1 if is_scattered else num_cpu_threads()
        with ThreadPoolExecutor(num_threads) as pool:
            yield from map_ahead(
                pool,
                lambda piece: (piece[0], self._read_checked(split, piece[1])),
                pieces,
                num_ahead=num_threads,
            )

    def read_unchecked(
        self, split: str, rows: np.ndarray
    ) -> tuple[StoredRows, np.ndarray]:
        """Reads rows, and tells which of them are what was written.

        Returns:
            The rows, and booleans `(num_rows,)`. Rows behind the end of a
            truncated file are zeros, and not what was written.
        """
        names = (FEATURES, *INDEX_COLUMNS, ROW_DIGESTS)
        arrays = {name: self._read(split, name, rows) for name in names}
        expected = arrays.pop(ROW_DIGESTS)
        stored = StoredRows(**arrays)
        is_good = (stored.digests(split, rows) == expected).all(axis=1)
        return stored, is_good

    def row_digests(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Returns the digests that rows should have, uint8 `(num_rows, 32)`."""
        return self._read(split, ROW_DIGESTS, rows)

    def damaged_seals(self) -> list[str]:
        """Returns which copies of the seal are damaged, in words."""
        return self.files.damaged_seals()

    def body_faults(self) -> list[str]:
        """Returns what is wrong with all but rows and seals, in words."""
        return self.files.body_faults()

    def _read_checked(self, split: str, rows: np.ndarray) -> StoredRows:
        stored, is_good = self.read_unchecked(split, rows)
        if not is_good.all():
            bad = rows[~is_good]
            parts = self.files.parts
            place = f", in {parts.describe(split, bad[0])}" if parts else ""
            raise corrupt(
                self.path,
                f"other bytes in {len(bad)} rows of {split}, row "
                f"{bad[0]} the first{place}",
            )
        return stored

    def index(self, split: str) -> RowIndex:
        """Reads all but the features of a split, once.

        Raises:
            CorruptCacheError: If it is not what was written.
        """
        if split not in self._indexes:
            arrays = self._read_index(split, np.arange(self.num_images[split]))
            if digest_index(arrays.values()) != self.seal.index_digests[split]:
                raise corrupt(self.path, f"other labels or ids in {split}")
            self._indexes[split] = RowIndex.of(arrays)
        return self._indexes[split]

    def forget_index(self, split: str) -> None:
        """Frees the memory of an index; it is read again if need be."""
        self._indexes.pop(split, None)

    def index_of_good(self, split: str, rows: np.ndarray) -> RowIndex:
        """Reads all but the features of rows that were found to be good."""
        return RowIndex.of(self._read_index(split, rows))

    def _read_index(
        self, split: str, rows: np.ndarray
    ) -> dict[str, np.ndarray]:
        return {name: self._read(split, name, rows) for name in INDEX_COLUMNS}

    def _read(self, split: str, name: str, rows: np.ndarray) -> np.ndarray:
        """Reads some rows of a column, for whoever checks them."""
        return self.files.read(split, name, rows)


def open_cache(path: Path) -> FeatureCache:
    """Opens the cache at `path`, its structure checked.

    Raises:
        MissingArtifactError: If there is none, or none that can be read.
        CorruptCacheError: If it is no whole cache.
        StaleCacheError: If it is of another schema.
    """
    cache = open_damaged(path)
    if faults := cache.body_faults():
        if not cache.files.is_current():  # The parts went while it was opened.
            return open_cache(path)
        raise corrupt(path, faults[0])
    return cache


def open_damaged(path: Path) -> FeatureCache:
    """Opens a cache of which only the seal is known to be right.

    Raises:
        MissingArtifactError: If there is none, or none that can be read.
        CorruptCacheError: If it has no seal.
        StaleCacheError: If it is of another schema.
    """
    if not path.is_file():
        raise MissingArtifactError(
            f"There is no cache at {path}. Expected: an HDF5 file. Build one "
            f"with `{BUILD_COMMAND}`."
        )
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise unopened(f"The cache {path}", error) from error
    try:
        seal, _ = read_seal(descriptor, path)
        return FeatureCache(path, descriptor, seal)
    except BaseException:
        os.close(descriptor)
        raise
