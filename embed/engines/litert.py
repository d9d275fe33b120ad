"""LiteRT (XNNPACK): float32 on a CPU."""

import math

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from embed.backbones import Backbone
from embed.devices import num_cpu_threads
from embed.engines.engine import Engine
from embed.engines.engine import Stream
from embed.engines.engine import freeze
from embed.memory import free_memory
from embed.startup import quiet_start

MEMORY_SHARE = 0.25  # Of what is free, for all streams.
BYTES_A_WEIGHT = 8  # Each stream packs the weights anew: 4 bytes, twice.
BYTES_A_PIXEL = 512  # Of activations, 4 times those of MobileNetV2.


class LiteRTEngine(Engine):
    """A backbone as a TFLite model of the frozen graph, one for each stream.

    The graph must be frozen first: from a function with variables the
    converter makes, without a word, a model that answers NaN.
    """

    name = "litert"
    pixels_a_batch = 65_536

    def __init__(self, backbone: Backbone, batch_size: int | None) -> None:
        super().__init__(backbone, batch_size)
        num_threads = num_cpu_threads()
        of_stream = BYTES_A_WEIGHT * backbone.model.count_params()
        of_stream += BYTES_A_PIXEL * math.prod(self.input_shape[:3])
        num_fitting = int(MEMORY_SHARE * free_memory()) // of_stream
        num_streams = min(max(num_fitting, 1), num_threads)
        frozen = freeze(backbone, self.input_shape)
        with quiet_start():
            model = _convert(frozen)
            for _ in range(num_streams):
                interpreter = Interpreter(
                    model_content=model, num_threads=num_threads // num_streams
                )
                interpreter.allocate_tensors()
                self._add_stream(_open_stream(interpreter))


def _convert(frozen: "tf.types.experimental.ConcreteFunction") -> bytes:
    """Returns a graph of constants as a TFLite model.

    By the converter of graphs: that of functions freezes what is frozen once
    more, which takes a second.
    """
    graph_def = frozen.graph.as_graph_def()
    with tf.Graph().as_default():
        converter = tf.compat.v1.lite.TFLiteConverter(
            graph_def, frozen.inputs, frozen.outputs
        )
        model: bytes = converter.convert()
    return model


def _open_stream(interpreter: Interpreter) -> Stream:
    entry = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]

    def run(images: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(entry, images)
        interpreter.invoke()
        features: np.ndarray = interpreter.get_tensor(result)
        return features

    return run
