"""What comes of a task: rows of good pictures, and the bad ones."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from embed.building.blocks import Block


@dataclasses.dataclass(frozen=True)
class BadImage:
    """A picture that cannot be decoded.

    Args:
        row: Its row number in the split.
        content_digest: SHA-256 of the encoded bytes, empty when unreadable.
        reason: Why.
    """

    row: int
    content_digest: bytes
    reason: str


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """What came of a task.

    Args:
        rows: Row numbers of the good pictures, `(num_rows,)`.
        features: `(num_rows, num_views, feature_dim)`, of the task's views;
            `None` where a worker has written them to their block.
        content_digests: uint8 `(num_rows, 32)`.
        is_oriented: Booleans `(num_rows,)`.
        bad: The other pictures.
    """

    rows: np.ndarray
    features: np.ndarray | None
    content_digests: np.ndarray
    is_oriented: np.ndarray
    bad: tuple[BadImage, ...]

    def to_block(
        self, image_ids: Sequence[str], features: np.ndarray, stamps: np.ndarray
    ) -> Block:
        """Returns its rows as they are kept.

        Args:
            image_ids: Of all rows of the split.
            features: `(num_rows, num_views, feature_dim)`, of all views.
            stamps: Of its rows, int64 `(num_rows, 3)`.
        """
        ids = [image_ids[row].encode() for row in self.rows.tolist()]
        return Block(
            image_ids=np.array(ids),
            features=features,
            content_digests=self.content_digests,
            is_oriented=self.is_oriented,
            stamps=stamps,
        )
