"""The training pictures whose features are the most similar to some others'.

Similar is the cosine of two feature vectors, both of view 0: 1 for the same
direction. Ties go to the row that comes first.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from embed.cache import FeatureCache
from embed.memory import default_limit
from embed.sources.source import UNLABELLED
from head.vectors import scale_to_unit

SPLIT = "train"  # All of it: a head is refit on validation rows as well.
PIECE_ROWS = 4096  # Compared at a time: similarities take some MB.
# Queries a call. Where the features are read from the file again, reading
# should be worth it; in memory, answers should not wait.
QUERIES_IN_MEMORY, QUERIES_A_READING = 64, 1024


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A training picture that is similar to another picture.

    Args:
        image_id: Its id in the cache.
        class_name: What it was labelled; `""` where there are no labels.
        similarity: Cosine of both feature vectors, -1 to 1.
    """

    image_id: str
    class_name: str
    similarity: float

    def __str__(self) -> str:
        facts = [self.class_name] * bool(self.class_name)
        facts.append(f"{self.similarity:.2f}")
        return f"{self.image_id} ({', '.join(facts)})"

    def to_payload(self) -> dict[str, Any]:
        """Returns it as `--json` says it."""
        return {
            "image_id": self.image_id,
            "class": self.class_name or None,
            "similarity": self.similarity,
        }


class TrainingPictures:
    """The training pictures of a cache, to be looked up by features.

    Args:
        cache: Where they lie; of one without labels all pictures.
        memory_limit: Bytes that their features may take; a larger cache is
            read anew in every call. Default: half of the free memory.

    Attributes:
        split: Which they are.
    """

    def __init__(
        self, cache: FeatureCache, *, memory_limit: int | None = None
    ) -> None:
        self._cache = cache
        self.split = SPLIT if cache.spec.is_labelled else UNLABELLED
        self._num_images = cache.num_images[self.split]
        limit = default_limit() if memory_limit is None else memory_limit
        shape = (self._num_images, cache.feature_dim)
        self._held: np.ndarray | None = None
        if np.dtype(np.float32).itemsize * shape[0] * shape[1] <= limit:
            held = np.empty(shape, np.float32)
            for start, rows in self._read():
                held[start : start + len(rows)] = rows
            self._held = held

    @property
    def feature_dim(self) -> int:
        """Number of features a picture."""
        return self._cache.feature_dim

    @property
    def num_queries(self) -> int:
        """How many pictures are best looked up in one call."""
        return QUERIES_A_READING if self._held is None else QUERIES_IN_MEMORY

    def find_nearest(
        self, features: np.ndarray, count: int
    ) -> list[tuple[Neighbour, ...]]:
        """Returns the neighbours of some pictures, the nearest first.

        Args:
            features: Of view 0, `(num_pictures, feature_dim)`.
            count: Neighbours a picture; fewer where there are no more.

        Raises:
            CorruptCacheError: If a row is not what was written.
        """
        rows, similarities = self._search(_unit(features), count)
        # The label of pictures without classes is the last of one name.
        names = self._cache.spec.class_names or ("",)
        index = self._cache.index(self.split)
        return [
            tuple(
                Neighbour(
                    image_id=index.image_ids[row],
                    class_name=names[index.labels[row]],
                    similarity=similarity,
                )
                for row, similarity in zip(*of_picture, strict=True)
            )
            for of_picture in zip(
                rows.tolist(), similarities.tolist(), strict=True
            )
        ]

    def _search(
        self, queries: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns rows and similarities, each `(num_queries, count)`."""
        count = min(count, self._num_images)
        rows = np.zeros((len(queries), count), np.int64)
        best = np.full((len(queries), count), -np.inf, np.float32)
        for start, piece in self._pieces():
            for query, found in enumerate(queries @ piece.T):
                # Later rows must be better: an equal one came first.
                (better,) = np.nonzero(found > best[query, -1])
                if not len(better):
                    continue
                values = np.concatenate([best[query], found[better]])
                order = np.argsort(-values, kind="stable")[:count]
                of_all = np.concatenate([rows[query], start + better])
                rows[query], best[query] = of_all[order], values[order]
        return rows, np.clip(best, -1.0, 1.0)  # Of rounding errors.

    def _pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields normalised features, and the row of the first of each."""
        if self._held is None:
            yield from self._read()
            return
        for start in range(0, self._num_images, PIECE_ROWS):
            yield start, self._held[start : start + PIECE_ROWS]

    def _read(self) -> Iterator[tuple[int, np.ndarray]]:
        rows = np.arange(self._num_images)
        for start, stored in self._cache.read_rows(self.split, rows):
            yield (
                start,
                _unit(stored.features[:, 0]),
            )


def _unit(features: np.ndarray) -> np.ndarray:
    """Returns vectors of length 1, in float32 whatever the cache holds."""
    return scale_to_unit(np.asarray(features, np.float32))
