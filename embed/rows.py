"""Rows of a cache: as a head uses them, and as the file stores them."""

import dataclasses
import hashlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Rows:
    """Some rows of a cache, in memory.

    Args:
        features: float32 `(num_images, num_views, feature_dim)`.
        labels: int32 `(num_images,)`.
        image_ids: Ids in row order.
    """

    features: np.ndarray
    labels: np.ndarray
    image_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Rows":
        """Returns some of the rows."""
        image_ids = tuple(self.image_ids[row] for row in rows)
        return Rows(self.features[rows], self.labels[rows], image_ids)


@dataclasses.dataclass(frozen=True)
class StoredBlock:
    """A block of rows as the file holds it.

    Args:
        features: `(num_rows, num_views, feature_dim)`, in the spec's dtype.
        labels: int32 `(num_rows,)`.
        image_ids: Fixed-length UTF-8 `(num_rows,)`.
        content_digests: uint8 `(num_rows, 32)`.
    """

    features: np.ndarray
    labels: np.ndarray
    image_ids: np.ndarray
    content_digests: np.ndarray

    def digest(self) -> np.ndarray:
        """Returns the SHA-256 of all of it, uint8 `(32,)`."""
        digest = hashlib.sha256()
        for array in vars(self).values():
            digest.update(np.ascontiguousarray(array).data)
        return np.frombuffer(digest.digest(), np.uint8)

    def join(self, other: "StoredBlock") -> "StoredBlock":
        """Returns the rows of both, these first."""
        return StoredBlock(
            **{
                name: np.concatenate([rows, getattr(other, name)])
                for name, rows in vars(self).items()
            }
        )

    def cut(self, start: int, stop: int | None = None) -> "StoredBlock":
        """Returns the rows from `start` to before `stop`."""
        return StoredBlock(
            **{name: rows[start:stop] for name, rows in vars(self).items()}
        )
