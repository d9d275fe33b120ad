"""An engine: a backbone converted for fast inference in batches of one size."""

import abc
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.backbones import Backbone

if TYPE_CHECKING:
    import tensorflow as tf


class Engine(abc.ABC):
    """Computes features in batches of a static size.

    Args:
        backbone: What to run.
        batch_size: Images a call; a static shape is a third faster.
    """

    def __init__(self, backbone: Backbone, batch_size: int) -> None:
        self.batch_size = batch_size
        self.input_shape = (batch_size, *backbone.image_size, 3)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the features of up to `batch_size` images.

        Args:
            images: float32 `(num_images, height, width, 3)` in [0, 1].

        Returns:
            float32 `(num_images, feature_dim)`.
        """
        num_images = len(images)
        if num_images < self.batch_size:
            padding = np.zeros(
                (self.batch_size - num_images, *images.shape[1:]), np.float32
            )
            images = np.concatenate([images, padding])
        return self._run(images)[:num_images]

    @abc.abstractmethod
    def _run(self, images: np.ndarray) -> np.ndarray:
        """Returns the features of exactly `batch_size` images."""


def freeze(
    backbone: Backbone, input_shape: tuple[int, ...]
) -> "tf.types.experimental.ConcreteFunction":
    """Returns the backbone as a graph whose variables are constants."""
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    @tf.function(input_signature=[tf.TensorSpec(input_shape, tf.float32)])
    def forward(images: Any) -> Any:
        return backbone.model(images, training=False)

    return convert_to_constants.convert_variables_to_constants_v2(
        forward.get_concrete_function()
    )
