"""A frozen backbone: images in [0, 1] to feature vectors."""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A frozen model with its own pixel scaling and pooling inside.

    Args:
        name: What the fingerprint calls it: the handle, or `hub:local` for a
            directory, whose place changes nothing.
        model: Keras model, float32 images `(batch, height, width, 3)` in
            [0, 1] to features `(batch, feature_dim)`; not trainable.
        weights_digest: SHA-256 of its weights.
    """

    name: str
    model: "keras.Model"
    weights_digest: str

    @property
    def image_size(self) -> tuple[int, int]:
        """`(height, width)` of the images it takes, in pixels."""
        _, height, width, _ = self.model.input_shape
        return height, width

    @property
    def feature_dim(self) -> int:
        """Number of features a vector."""
        return int(self.model.output_shape[-1])
