"""A frozen backbone: images in [0, 1] to feature vectors."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from embed.backbones.scaling import UNIT
from embed.backbones.scaling import PixelScaling

if TYPE_CHECKING:
    import keras


PIXELS_A_CALL = 401_408  # Eight images of 224 px: 1.3 GB in MobileNetV2 1.4.


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A frozen model with its own pixel scaling and pooling inside.

    Args:
        name: What the fingerprint calls it: the handle, or `KIND:local` for a
            file or directory, whose place changes nothing. All that changes
            a vector and is not in the weights is in it.
        model: Keras model, float32 images `(batch, height, width, 3)` in
            [0, 1] to features `(batch, feature_dim)`; not trainable.
        weights_digest: SHA-256 of its weights.
        scaling: The pixel scaling inside.
        remarks: What was found out or decided, for whoever builds a cache.
    """

    name: str
    model: "keras.Model"
    weights_digest: str
    scaling: PixelScaling = UNIT
    remarks: tuple[str, ...] = ()

    @property
    def image_size(self) -> tuple[int, int]:
        """`(height, width)` of the images it takes, in pixels."""
        _, height, width, _ = self.model.input_shape
        return height, width

    @property
    def feature_dim(self) -> int:
        """Number of features a vector."""
        return int(self.model.output_shape[-1])

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Returns the features that engines are compared with.

        A few images at a time: Keras keeps what every layer answers until the
        last one has.

        Args:
            images: float32 `(num_images, height, width, 3)` in [0, 1].

        Returns:
            float32 `(num_images, feature_dim)`.
        """
        height, width = self.image_size
        step = max(PIXELS_A_CALL // (height * width), 1)
        features = np.empty((len(images), self.feature_dim), np.float32)
        for start in range(0, len(images), step):
            piece = images[start : start + step]
            answers = self.model(piece, training=False)
            features[start : start + step] = np.asarray(answers)
        return features
