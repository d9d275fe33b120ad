"""OpenVINO: bfloat16 on processors that have it, and float32 on request."""

import tempfile
from pathlib import Path

import numpy as np
import openvino
import tensorflow as tf

from embed.backbones import Backbone
from embed.devices import num_cpu_threads
from embed.engines.engine import Engine
from embed.engines.engine import freeze

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVINOEngine(Engine):
    """A backbone compiled by OpenVINO for a static batch.

    The precision is always said: left alone, OpenVINO computes in bfloat16
    wherever the processor can.
    """

    def __init__(
        self, backbone: Backbone, batch_size: int, precision: str
    ) -> None:
        super().__init__(backbone, batch_size)
        core = openvino.Core()
        # Read from a file: `openvino.convert_model` sends usage statistics.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "backbone.pb"
            graph = freeze(backbone, self.input_shape).graph.as_graph_def()
            tf.io.write_graph(graph, folder, path.name, as_text=False)
            model = core.read_model(path)
        model.reshape(list(self.input_shape))
        self._request = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
                "INFERENCE_NUM_THREADS": num_cpu_threads(),
            },
        ).create_infer_request()

    def _run(self, images: np.ndarray) -> np.ndarray:
        self._request.infer([images])
        return np.array(self._request.get_output_tensor(0).data)
