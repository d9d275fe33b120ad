"""The pictures of a source as they are now: read only where they must be."""

import operator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embed.ahead import map_ahead
from embed.building.stamps import NO_STAMP
from embed.building.stamps import trust_old_stamps
from embed.console import Console
from embed.devices import num_cpu_threads
from embed.images import digest_content
from embed.rows import DIGEST_BYTES
from embed.sources import Picture
from embed.sources import Source

MANY_PICTURES = 5_000  # Seconds of reading: worth a progress bar.
UNREADABLE = bytes(DIGEST_BYTES)  # Stands for the content of such a picture.
NUM_AHEAD = 64  # Pictures in memory: some MB.


class CurrentPictures:
    """What each picture of a source holds now, found out once.

    Args:
        source: Where the pictures are.
        console: Shows progress where many have to be read.
    """

    def __init__(self, source: Source, console: Console) -> None:
        self._source, self._console = source, console
        self._stamps: dict[str, np.ndarray] = {}
        self._digests: dict[str, np.ndarray] = {}
        self._is_known: dict[str, np.ndarray] = {}
        for split, index in source.splits.items():
            num_images = len(index.labels)
            self._digests[split] = np.zeros(
                (num_images, DIGEST_BYTES), np.uint8
            )
            self._is_known[split] = np.zeros(num_images, bool)

    def image_ids(self, split: str) -> tuple[str, ...]:
        """Returns the ids of a split in row order."""
        return self._source.splits[split].image_ids

    def stamps(self, split: str) -> np.ndarray:
        """Returns size and times of each picture, -1 where they tell nothing.

        They are taken before any picture is read, so that one that changes
        meanwhile is read again by the next build.

        Returns:
            int64 `(num_images, 3)`.
        """
        if split not in self._stamps:
            stamps = self._source.stamps(split)
            if stamps is None:
                count = len(self._digests[split])
                self._stamps[split] = np.full((count, 3), NO_STAMP)
            else:
                self._stamps[split] = trust_old_stamps(stamps)
        return self._stamps[split]

    def learn(self, split: str, rows: np.ndarray, digests: np.ndarray) -> None:
        """Takes note of what pictures hold, where that is not known yet."""
        is_new = ~self._is_known[split][rows]
        self._digests[split][rows[is_new]] = digests[is_new]
        self._is_known[split][rows] = True

    def forget_stamps(self, split: str, rows: np.ndarray) -> None:
        """Has the next build read pictures whose contents were not read now."""
        self.stamps(split)[rows] = NO_STAMP

    def digests(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Returns what is known of contents, uint8 `(num_rows, 32)`."""
        digests: np.ndarray = self._digests[split][rows]
        return digests

    def have(
        self, split: str, rows: np.ndarray, digests: np.ndarray
    ) -> np.ndarray:
        """Tells which pictures have these contents, reading what it must.

        Args:
            split: `"train"` or `"test"`.
            rows: Row numbers, ascending.
            digests: SHA-256 of each, uint8 `(num_rows, 32)`.

        Returns:
            Booleans `(num_rows,)`; one that cannot be read has the content
            `UNREADABLE`.
        """
        self._read(split, rows[~self._is_known[split][rows]])
        return np.asarray((self._digests[split][rows] == digests).all(axis=1))

    def _read(self, split: str, rows: np.ndarray) -> None:
        if not len(rows):
            return
        console = self._console
        if len(rows) < MANY_PICTURES:
            console = Console(is_quiet=True)
        pictures = self._source.read(split, rows.tolist())
        with (
            ThreadPoolExecutor(num_cpu_threads()) as pool,
            console.progress(
                "Comparing", len(rows), f"pictures of {split}"
            ) as progress,
        ):
            found = map_ahead(pool, _digest, pictures, NUM_AHEAD)
            for row, digest in zip(rows.tolist(), found, strict=True):
                self._digests[split][row] = np.frombuffer(digest, np.uint8)
                self._is_known[split][row] = True
                progress.advance()


def _digest(picture: Picture) -> bytes:
    return UNREADABLE if picture.problem else digest_content(picture.encoded)


def find_rows(image_ids: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Returns where each wanted id stands among others, -1 where nowhere."""
    is_same_length = len(image_ids) == len(wanted)
    if is_same_length and all(map(operator.eq, image_ids, wanted)):
        return np.arange(len(wanted))  # As it mostly is: without a table.
    row_of = {image_id: row for row, image_id in enumerate(image_ids)}
    return np.array([row_of.get(image_id, -1) for image_id in wanted], int)
