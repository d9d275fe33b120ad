"""Scores heads in training on the validation rows, several at once."""

import functools
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from embed.rows import Rows
from embed.stream import RowStream
from head.spec import Normalization
from head.training.feed import Chunk
from head.training.feed import feed_rows
from head.training.feed import shape_of
from tune.preparation import Normalizer
from tune.slot import Slot
from tune.steps import Steps

PIECE_ROWS = 4096  # Validation rows that are normalised at a time.


class Scoring:
    """Knows the validation rows, of which view 0 counts.

    Args:
        rows: The validation rows.
        normalizers: What heads do to features first, by name.
        steps: The graphs of the heads.
    """

    def __init__(
        self,
        rows: Rows | RowStream,
        normalizers: Mapping[Normalization, Normalizer],
        steps: Steps,
    ) -> None:
        self._rows, self._normalizers, self._steps = rows, normalizers, steps

    def score(
        self, slots: Sequence[Slot], pool: Executor
    ) -> list[tuple[float, float]]:
        """Returns the accuracy and the mean cross-entropy of each head.

        Labels are not smoothed, so that heads can be compared by their loss.
        """
        sums = np.zeros((len(slots), 2))
        for vectors, labels in self._read() if slots else ():
            features = {
                name: self._normalizers[name](vectors)
                for name in {slot.spec.normalization for slot in slots}
            }
            judge = functools.partial(self._judge, features, labels)
            sums += list(pool.map(judge, slots))
        means: list[list[float]] = (sums / len(self._rows)).tolist()
        return [(accuracy, loss) for loss, accuracy in means]

    def _judge(
        self, features: dict[Any, Any], labels: Any, slot: Slot
    ) -> np.ndarray:
        return self._steps.judge(
            slot, features[slot.spec.normalization], labels
        )

    def _read(self) -> Iterator[Chunk]:
        """Yields view 0 of the rows and their labels, in pieces."""
        num_views = shape_of(self._rows)[1]
        for vectors, labels in feed_rows(self._rows):
            of_view_0 = vectors[::num_views]
            for start in range(0, len(labels), PIECE_ROWS):
                piece = slice(start, start + PIECE_ROWS)
                yield of_view_0[piece], labels[piece]
