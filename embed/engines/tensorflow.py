"""TensorFlow on a frozen graph: runs everywhere, and on a GPU."""

import numpy as np
import tensorflow as tf

from embed.backbones import Backbone
from embed.engines.engine import Engine
from embed.engines.engine import freeze


class TensorFlowEngine(Engine):
    """A backbone as one graph of constants."""

    def __init__(self, backbone: Backbone, batch_size: int) -> None:
        super().__init__(backbone, batch_size)
        self._function = freeze(backbone, self.input_shape)

    def _run(self, images: np.ndarray) -> np.ndarray:
        features: np.ndarray = self._function(tf.constant(images))[0].numpy()
        return features
