"""Five pictures and who knows them, for tests of plans: no file, no backbone.

The bytes of a picture are its id, and its features say where they come from.
"""

from pathlib import Path

import numpy as np

from embed.building.parents import KnownRows
from embed.building.parents import Parent
from embed.building.stamps import NO_STAMP
from embed.images import digest_content
from embed.sources import Picture
from embed.sources import Source
from embed.sources import SplitIndex

IDS = ("a", "b", "c", "d", "e")
ROWS = np.arange(len(IDS))
LABELS = np.array([0, 1, 0, 1, 0], np.int32)
BOTH = ("plain", "flip")
OLD = 10**18  # Nanoseconds: some day of 2001.


class LetterSource(Source):
    """Five pictures a split whose bytes are their ids; counts what is read."""

    def __init__(self):
        index = SplitIndex(IDS, LABELS)
        super().__init__(
            name="letters",
            version="",
            class_names=("x", "y"),
            splits={"train": index, "test": index},
        )
        self.rows_read = []

    def read(self, split, rows):
        """Yields one picture a row."""
        for row in rows:
            self.rows_read.append(row)
            yield Picture(IDS[row].encode())

    def stamps(self, split):
        """Returns stamps that are old, and tell rows apart."""
        return np.stack([ROWS, ROWS + OLD, ROWS + OLD], axis=1)


class FakeParent(Parent):
    """Knows some ids; its features are 100 a parent, 10 a position, 1 a view.

    Args:
        number: A digit.
        image_ids: What it knows, of both splits.
        views: Names of its views.
        contents: Other bytes than the ids, by id.
        stamps: Whether it knows the stamps of the rows.
        bad: Ids of pictures that could not be decoded.
    """

    def __init__(
        self, number, image_ids, views, *, contents=(), stamps=False, bad=()
    ):
        super().__init__(Path(f"{number}.h5"), views)
        self._number = number
        self._contents = dict(contents)
        self._ids, self._has_stamps, self._bad = image_ids, stamps, bad

    def _find_known(self, split):
        """Returns the same for both splits."""
        contents = [self._contents.get(i, i).encode() for i in self._ids]
        digests = b"".join(map(digest_content, contents))
        stamps = np.full((len(self._ids), 3), NO_STAMP)
        if self._has_stamps:
            rows = np.array([IDS.index(i) for i in self._ids])
            stamps = np.stack([rows, rows + OLD, rows + OLD], axis=1)
        return KnownRows(
            image_ids=tuple(self._ids),
            content_digests=np.frombuffer(digests, np.uint8).reshape(-1, 32),
            is_oriented=np.array([i in "ace" for i in self._ids], bool),
            stamps=stamps,
            errors={self._ids.index(i): f"bad {i}" for i in self._bad},
        )

    def read(self, split, positions):
        """Returns `(num_rows, num_views, 1)`."""
        values = 100 * self._number + 10 * positions[:, None, None]
        return values + np.arange(len(self.views))[None, :, None]
