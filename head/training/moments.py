"""Mean and variance of every feature, over rows of any number."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from embed.rows import Rows
from embed.stream import RowStream
from head.training.feed import shape_of

PIECE_ROWS = 256  # Converted to float64 at a time: it is twice as large.


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
    for features in _read_chunks(rows):
        for start in range(0, len(features), PIECE_ROWS):
            piece = features[start : start + PIECE_ROWS]
            yield piece.reshape(-1, piece.shape[-1]).astype(np.float64)


def _read_chunks(rows: Rows | RowStream) -> Iterator[np.ndarray]:
    if isinstance(rows, Rows):
        yield rows.features
        return
    places = np.arange(len(rows))
    for piece in rows.pieces():
        yield rows.take(places[piece]).features
