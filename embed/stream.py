"""Rows of a cache that is larger than memory, read chunk by chunk.

Nothing here decides on an order: whoever trains draws it as it does for rows
in memory, and a chunk is the next piece of it. So a training answers the same
bits whatever the memory limit. In a chunk rows are read in the order of the
file.
"""

import functools
from collections.abc import Callable

import numpy as np

from embed.cache import FeatureCache
from embed.console import Console
from embed.errors import PipelineError
from embed.memory import default_limit
from embed.memory import format_size
from embed.rows import Rows
from embed.splits import Selection

# Of the memory limit one share is for the chunk in use and one for the chunk
# that is read meanwhile; two are for what reading and training need besides.
NUM_SHARES = 4
Reader = Callable[[Selection], "Rows | RowStream"]


class RowStream:
    """The rows of a selection, of which no more than a chunk is in memory.

    Args:
        cache: Where they lie.
        selection: Which they are.
        memory_limit: Bytes that all features in memory may take.
    """

    def __init__(
        self, cache: FeatureCache, selection: Selection, *, memory_limit: int
    ) -> None:
        self._cache, self._split = cache, selection.split
        rows = selection.rows
        if rows is None:
            rows = np.arange(cache.num_images[selection.split])
        self._rows = rows
        self._is_checked = np.zeros(len(rows), np.bool_)
        self._memory_limit = memory_limit

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the features, `(num_images, num_views, feature_dim)`."""
        return len(self), len(self._cache.spec.views), self._cache.feature_dim

    def pieces(self, batch_size: int = 1, num_parts: int = 1) -> list[slice]:
        """Divides the rows into chunks of about equal size.

        Args:
            batch_size: Every chunk but the last is a multiple of it.
            num_parts: How many chunks share the place of one.

        Raises:
            PipelineError: If the memory limit has no room for a batch.
        """
        row_bytes = measure_rows(self._cache, 1)
        largest = self._memory_limit // (NUM_SHARES * num_parts * row_bytes)
        num_batches = largest // batch_size
        if not num_batches:
            least = NUM_SHARES * num_parts * batch_size * row_bytes
            raise PipelineError(
                f"The memory limit is too small to train on the cache "
                f"{self._cache.path} in batches of {batch_size}. Expected: at "
                f"least {format_size(least)}. Received: "
                f"{format_size(self._memory_limit)}. Give more with "
                f"`--memory-limit {least}`."
            )
        num_chunks = -(-len(self) // (num_batches * batch_size))
        batches_each = -(-len(self) // (num_chunks * batch_size))
        step = batches_each * batch_size
        return [slice(n, n + step) for n in range(0, len(self), step)]

    def take(self, rows: np.ndarray) -> Rows:
        """Reads some of the rows, ascending.

        Each is checked against its digest when it is read first.

        Raises:
            CorruptCacheError: If a row is not what was written.
        """
        taken = self._cache.take(
            Selection(self._split, self._rows[rows]),
            is_trusted=bool(self._is_checked[rows].all()),
        )
        self._is_checked[rows] = True
        return taken


def choose_reader(
    cache: FeatureCache,
    memory_limit: int | None,
    console: Console,
    *,
    num_sampled: int | None = None,
    num_copies: int = 1,
) -> Reader:
    """Decides whether training rows are held in memory, and says so.

    Args:
        cache: Where they lie.
        memory_limit: Bytes that features may take; default: half of the
            memory that is free.
        console: Where the remark goes.
        num_sampled: Rows that will be asked for, where they are a sample of
            the train split; `None` for all.
        num_copies: How many times they would be held. Of streams one at a time
            is read, so that each has the whole limit.

    Returns:
        What gives the rows of a selection of the train split.
    """
    limit = default_limit() if memory_limit is None else memory_limit
    num_rows = cache.num_images["train"] if num_sampled is None else num_sampled
    size = num_copies * measure_rows(cache, num_rows)
    facts = (
        f"its {format_size(size)} are {{}} the memory limit of "
        f"{format_size(limit)}."
    )
    sample = "" if num_sampled is None else f"a sample of {num_sampled:,} rows"
    if size <= limit:
        console.say(
            f"Training holds {sample or 'the cache'} in memory: "
            f"{facts.format('within')}"
        )
        return cache.take
    streams = f"streams {sample}".rstrip()
    console.say(
        f"Training {streams} from the cache: {facts.format('more than')}"
    )
    return functools.partial(RowStream, cache, memory_limit=limit)


def measure_rows(cache: FeatureCache, num_rows: int) -> int:
    """Returns the bytes of the features of some rows in memory."""
    vector_bytes = cache.feature_dim * np.dtype(np.float32).itemsize
    return num_rows * len(cache.spec.views) * vector_bytes
