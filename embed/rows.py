"""Rows of a cache: as a head uses them, and as the file stores them."""

import dataclasses
import hashlib
import math
from collections.abc import Iterable

import numpy as np

DIGEST_BYTES = 32  # SHA-256.
INDEX_COLUMNS = ("labels", "image_ids", "content_digests", "is_oriented")
ROW_DIGESTS = "row_digests"
PIECE_IDS = 4096  # Turned into text at a time: a list of all takes memory.


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
class StoredRows:
    """Some rows as the file holds them, in its own dtypes.

    Args:
        features: `(num_rows, num_views, feature_dim)`, in the spec's dtype.
        labels: int32 `(num_rows,)`.
        image_ids: Fixed-length UTF-8 `(num_rows,)`.
        content_digests: uint8 `(num_rows, 32)`.
        is_oriented: uint8 `(num_rows,)`, 1 where the picture carries an EXIF
            orientation, which is not applied.
    """

    features: np.ndarray
    labels: np.ndarray
    image_ids: np.ndarray
    content_digests: np.ndarray
    is_oriented: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def digests(self, split: str, rows: np.ndarray) -> np.ndarray:
        """Returns the SHA-256 of each row, its place in the cache included.

        Args:
            split: `"train"` or `"test"`.
            rows: Row numbers in the split `(num_rows,)`.

        Returns:
            uint8 `(num_rows, 32)`.
        """
        features = np.ascontiguousarray(self.features)
        num_values = math.prod(features.shape[1:])
        flat = features.reshape(len(self), num_values).view(np.uint8)
        salt = hashlib.sha256(split.encode())
        numbers = np.asarray(rows, "<i8").tolist()
        labels = np.asarray(self.labels, "<i4").tolist()
        found = np.empty((len(self), DIGEST_BYTES), np.uint8)
        for place, (number, label) in enumerate(
            zip(numbers, labels, strict=True)
        ):
            digest = salt.copy()
            digest.update(
                number.to_bytes(8, "little")
                + label.to_bytes(4, "little", signed=True)
                + self.content_digests[place].tobytes()
                + self.is_oriented[place].tobytes()
                + bytes(self.image_ids[place])
            )
            digest.update(flat[place])
            found[place] = np.frombuffer(digest.digest(), np.uint8)
        return found


@dataclasses.dataclass(frozen=True)
class RowIndex:
    """What a split holds, but for the features.

    Args:
        labels: int32 `(num_images,)`.
        image_ids: Ids in row order.
        content_digests: uint8 `(num_images, 32)`: SHA-256 of each encoded
            image.
        is_oriented: uint8 `(num_images,)`, 1 where a picture carries an EXIF
            orientation.
    """

    labels: np.ndarray
    image_ids: tuple[str, ...]
    content_digests: np.ndarray
    is_oriented: np.ndarray

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> "RowIndex":
        """Returns what the columns of a file say."""
        ids = arrays["image_ids"]
        return cls(
            labels=arrays["labels"],
            image_ids=tuple(
                image_id.decode()
                for start in range(0, len(ids), PIECE_IDS)
                for image_id in ids[start : start + PIECE_IDS].tolist()
            ),
            content_digests=arrays["content_digests"],
            is_oriented=arrays["is_oriented"],
        )


def digest_index(arrays: Iterable[np.ndarray]) -> str:
    """Returns the SHA-256 of all columns but the features, hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
