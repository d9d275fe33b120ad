"""OpenVINO: bfloat16 on processors that have it, and float32 on request."""

import numpy as np
import openvino

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
        frozen = freeze(backbone, self.input_shape)
        model = openvino.convert_model(
            frozen.graph, input=[list(self.input_shape)]
        )
        self._request = openvino.compile_model(
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
