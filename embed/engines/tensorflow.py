"""TensorFlow on a frozen graph: runs everywhere, and on a GPU."""

import numpy as np
import tensorflow as tf

from embed.backbones import Backbone
from embed.devices import num_cpu_threads
from embed.devices import prepare_devices
from embed.engines.engine import Engine
from embed.engines.engine import freeze

GPU_STREAMS = 2  # One batch is copied while another is computed.
PIXELS_A_BATCH = 262_144
GPU_PIXELS_A_BATCH = 32 * PIXELS_A_BATCH


class TensorFlowEngine(Engine):
    """A backbone as one graph of constants."""

    name = "tensorflow"

    def __init__(self, backbone: Backbone, batch_size: int | None) -> None:
        has_gpu = prepare_devices().num_logical_gpus > 0
        self.pixels_a_batch = GPU_PIXELS_A_BATCH if has_gpu else PIXELS_A_BATCH
        num_streams = GPU_STREAMS if has_gpu else num_cpu_threads()
        super().__init__(backbone, batch_size, num_streams)
        self._function = freeze(backbone, self.input_shape)
        for _ in range(num_streams):
            self._streams.put(self._run)

    def _run(self, images: np.ndarray) -> np.ndarray:
        features: np.ndarray = self._function(tf.constant(images))[0].numpy()
        return features
