"""A fair small sample of another source: `--limit`."""

from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from embed.sources.source import Picture
from embed.sources.source import Source
from embed.splits import sample_rows


class LimitedSource(Source):
    """The images of smallest hash of another source: a fair small sample.

    Args:
        source: The whole source.
        limit: Largest number of images a split.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._rows = {
            split: sample_rows(index.image_ids, limit, salt="limit")
            for split, index in source.splits.items()
        }
        super().__init__(
            name=source.name,
            version=source.version,
            class_names=source.class_names,
            splits={
                split: index.take(self._rows[split])
                for split, index in source.splits.items()
            },
            ignored=source.ignored,
        )

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row."""
        return self._source.read(split, self._rows[split][list(rows)].tolist())

    def stamps(self, split: str) -> np.ndarray | None:
        """Returns those of its own rows."""
        stamps = self._source.stamps(split)
        return None if stamps is None else stamps[self._rows[split]]
