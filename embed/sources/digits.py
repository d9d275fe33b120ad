"""The embedded default: scikit-learn's 1,797 handwritten digits, 8 x 8."""

from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from embed.sources.request import SourceRequest
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import SplitIndex
from embed.sources.source import divide

MAX_LEVEL = 16  # The data set's pixels are 0 to 16.


class DigitsSource(Source):
    """Digits as PNG, so that they go through the same decoder as photos.

    Source: https://archive.ics.uci.edu/dataset/80 (test part), as shipped in
    `sklearn.datasets.load_digits`.
    """

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        image_ids = np.array(
            [f"digit-{i:04}" for i in range(len(digits.target))]
        )
        rows = divide(image_ids.tolist())
        levels = digits.images / MAX_LEVEL * np.iinfo(np.uint8).max
        self._pixels = np.round(levels).astype(np.uint8)[..., np.newaxis]
        self._rows = rows
        labels = digits.target.astype(np.int32)
        super().__init__(
            name="digits",
            version="",
            class_names=[str(name) for name in digits.target_names],
            splits={
                split: SplitIndex(tuple(image_ids[r].tolist()), labels[r])
                for split, r in rows.items()
            },
        )

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields the PNG of each row."""
        import tensorflow as tf

        for row in rows:
            pixels = self._pixels[self._rows[split][row]]
            yield Picture(tf.io.encode_png(pixels).numpy())


def check_request(request: SourceRequest) -> None:
    """Refuses nothing: the digits are embedded in a library."""


def open_request(request: SourceRequest) -> DigitsSource:
    """Opens the digits."""
    return DigitsSource()
