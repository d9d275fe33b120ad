"""OpenVINO: bfloat16 on processors that have it, and float32 on request."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import tensorflow as tf

from embed.backbones import Backbone
from embed.devices import num_cpu_threads
from embed.engines.engine import Engine
from embed.engines.engine import Stream
from embed.engines.engine import freeze

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
PIXELS_A_BATCH = {"float32": 65_536, "bfloat16": 262_144}


class OpenVINOEngine(Engine):
    """A backbone compiled by OpenVINO for a static batch.

    The precision is always said: left alone, OpenVINO computes in bfloat16
    wherever the processor can.
    """

    name = "openvino"

    def __init__(
        self, backbone: Backbone, batch_size: int | None, precision: str
    ) -> None:
        self.pixels_a_batch = PIXELS_A_BATCH[precision]
        super().__init__(backbone, batch_size)
        num_threads = num_cpu_threads()
        core = openvino.Core()
        # Read from a file: `openvino.convert_model` sends usage statistics.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "backbone.pb"
            graph = freeze(backbone, self.input_shape).graph.as_graph_def()
            tf.io.write_graph(graph, folder, path.name, as_text=False)
            model = core.read_model(path)
        model.reshape(list(self.input_shape))
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
                "INFERENCE_NUM_THREADS": num_threads,
                "NUM_STREAMS": num_threads,
            },
        )
        for _ in range(num_threads):
            self._add_stream(_open_stream(compiled.create_infer_request()))


def _open_stream(request: Any) -> Stream:
    def run(images: np.ndarray) -> np.ndarray:
        request.infer([images], share_inputs=True)
        features: np.ndarray = request.get_output_tensor(0).data
        return features  # The caller copies it before the next batch.

    return run
