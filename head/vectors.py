"""Feature vectors, as they are compared with each other."""

from collections.abc import Iterable

import numpy as np


def scale_to_unit(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of length 1; those of zeros stay as they are.

    Args:
        vectors: `(num_vectors, feature_dim)`, in the precision of the answer.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: np.ndarray = vectors / np.where(lengths > 0, lengths, 1)
    return unit


def find_mean(pieces: Iterable[np.ndarray], feature_dim: int) -> np.ndarray:
    """Returns the mean of vectors that come in pieces.

    Args:
        pieces: `(num_rows, feature_dim)` each.
        feature_dim: Number of features a vector.

    Returns:
        float64 `(feature_dim,)`.
    """
    total, num_rows = np.zeros(feature_dim), 0
    for piece in pieces:
        total += piece.sum(axis=0, dtype=np.float64)
        num_rows += len(piece)
    return total / max(1, num_rows)
