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
from embed.engines.layout import scale_before_transpose
from embed.engines.microbatch import use_microbatches
from embed.engines.small_maps import join_small_maps

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
VALUE_BYTES = {"float32": 4, "bfloat16": 2}


class OpenVINOEngine(Engine):
    """A backbone compiled by OpenVINO for a static batch.

    The precision is always said: left alone, OpenVINO computes in bfloat16
    wherever the processor can.
    """

    name = "openvino"
    pixels_a_batch = 401_408  # Eight images of 224 px.

    def __init__(
        self, backbone: Backbone, batch_size: int | None, precision: str
    ) -> None:
        super().__init__(backbone, batch_size)
        num_threads = num_cpu_threads()
        core = openvino.Core()
        model = read_model(core, backbone, self.input_shape)
        pixels = scale_before_transpose(model)
        use_microbatches(model, pixels, VALUE_BYTES[precision])
        if precision == "bfloat16":  # In float32 there is little to gain.
            join_small_maps(model)
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


def read_model(
    core: openvino.Core, backbone: Backbone, input_shape: tuple[int, ...]
) -> openvino.Model:
    """Returns a backbone as OpenVINO's own graph, of a static shape.

    Read from a file: `openvino.convert_model` sends usage statistics.
    """
    graph = freeze(backbone, input_shape).graph.as_graph_def()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backbone.pb"
        tf.io.write_graph(graph, folder, path.name, as_text=False)
        model = core.read_model(path)
    model.reshape(list(input_shape))
    return model


def _open_stream(request: Any) -> Stream:
    def run(images: np.ndarray) -> np.ndarray:
        request.infer([images], share_inputs=True)
        features: np.ndarray = request.get_output_tensor(0).data
        return features  # The caller copies it before the next batch.

    return run
