"""Mean and variance of every feature, over rows of any number."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from embed.rows import Rows
from embed.stream import RowStream
from head.feed import shape_of

PIECE_ROWS = 1024  # Converted to float64 at a time.
NUM_PARTS = 4  # Pieces of a stream: float64 is twice as large, and is copied.


@dataclasses.dataclass(frozen=True)
class Moments:
    """What `standardize` centres and scales by.

    Args:
        mean: float64 `(feature_dim,)`.
        variance: float64 `(feature_dim,)`.
    """

    mean: np.ndarray
    variance: np.ndarray


def compute_moments(rows: Rows | RowStream) -> Moments:
    """Computes them over all images and views, in two passes.

    Vectors are added one after the other in float64, so that the result is
    the same bits whatever the pieces, and that of `numpy.var`.
    """
    num_images, num_views, _ = shape_of(rows)
    count = num_images * num_views
    mean = _sum(_read_vectors(rows)) / count
    deviations = (vectors - mean for vectors in _read_vectors(rows))
    return Moments(mean, _sum(np.square(d) for d in deviations) / count)


def _sum(pieces: Iterator[np.ndarray]) -> np.ndarray:
    """Adds vectors to the sum of those before, and not sums of pieces."""
    total = next(pieces).sum(axis=0)
    for vectors in pieces:
        total = np.concatenate([total[np.newaxis], vectors]).sum(axis=0)
    return np.asarray(total)


def _read_vectors(rows: Rows | RowStream) -> Iterator[np.ndarray]:
    """Yields all vectors in row order, float64 `(num_vectors, feature_dim)`."""
    if isinstance(rows, Rows):
        starts = range(0, len(rows), PIECE_ROWS)
        features = (rows.features[n : n + PIECE_ROWS] for n in starts)
    else:
        places = np.arange(len(rows))
        features = (
            rows.take(places[piece]).features
            for piece in rows.pieces(num_parts=NUM_PARTS)
        )
    for piece in features:
        yield piece.reshape(-1, piece.shape[-1]).astype(np.float64)
