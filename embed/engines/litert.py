"""LiteRT (XNNPACK): the fastest in float32 on a CPU."""

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from embed.backbones import Backbone
from embed.devices import num_cpu_threads
from embed.devices import quiet_start
from embed.engines.engine import Engine
from embed.engines.engine import freeze


class LiteRTEngine(Engine):
    """A backbone as a TFLite model of the frozen graph.

    The graph must be frozen first: from a function with variables the
    converter makes, without a word, a model that answers NaN.
    """

    def __init__(self, backbone: Backbone, batch_size: int) -> None:
        super().__init__(backbone, batch_size)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [freeze(backbone, self.input_shape)]
        )
        with quiet_start():
            self._interpreter = Interpreter(
                model_content=converter.convert(),
                num_threads=num_cpu_threads(),
            )
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def _run(self, images: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, images)
        self._interpreter.invoke()
        features: np.ndarray = self._interpreter.get_tensor(self._output)
        return features
