"""Engines of one backbone at several input sizes, run as one."""

from collections.abc import Sequence

import numpy as np

from embed.engines.engine import Engine


class SizedEngines:
    """Runs images of several sizes, each on the engine of its size.

    Args:
        engines: Of one kind, each of another input size; the first decides
            how many images come at a time, and in how many streams.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        first = engines[0]
        self.name, self.batch_size = first.name, first.batch_size
        self.num_streams = first.num_streams
        self.runs_ahead = first.runs_ahead
        self._of_size = {e.input_shape[1:3]: e for e in engines}

    def embed_views(
        self, images: np.ndarray, are_mirrored: Sequence[bool]
    ) -> np.ndarray:
        """Returns the features of views of images of one size.

        Args:
            images: float32 `(num_images, height, width, 3)` in [0, 1].
            are_mirrored: By view, whether it is the mirror of these.

        Returns:
            float32 `(num_images, num_views, feature_dim)`.
        """
        engine = self._of_size[images.shape[1:3]]
        return engine.embed_views(images, are_mirrored)


def share_pixels(
    batch_size: int, image_size: tuple[int, int], other: tuple[int, int]
) -> int:
    """Returns a batch size for another input size, of about as many pixels.

    A batch of the first size is divided into parts that differ by one image
    at most: what fills the last one up is computed in vain.

    Args:
        batch_size: Images a batch of the first size.
        image_size: `(height, width)` of these.
        other: `(height, width)` of the others.
    """
    pixels = batch_size * image_size[0] * image_size[1]
    most = max(pixels // (other[0] * other[1]), 1)
    return -(-batch_size // -(-batch_size // most))
