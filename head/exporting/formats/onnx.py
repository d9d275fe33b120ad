"""ONNX, for any number of images a call."""

from pathlib import Path
from typing import Any

import onnx
import tf2onnx

from head.exporting.full_model import IMAGES
from head.exporting.full_model import LOGITS
from head.exporting.full_model import PROBABILITIES
from head.exporting.full_model import FullModel

OPSET = 17  # Of 2022: the first with LayerNormalization as one operation.
BATCH = "batch"


def write_onnx(full_model: FullModel, path: Path) -> None:
    """Writes an `.onnx` file; its documents are in `metadata_props`.

    It takes `images` and answers `logits` and `probabilities`.

    Args:
        full_model: What to write.
        path: Of the file.
    """
    model, _ = tf2onnx.convert.from_graph_def(
        full_model.freeze(batch_size=None),
        input_names=[f"{IMAGES}:0"],
        output_names=[f"{LOGITS}:0", f"{PROBABILITIES}:0"],
        opset=OPSET,
    )
    for tensor in (*model.graph.input, *model.graph.output):
        _rename(model.graph, tensor.name, tensor.name.removesuffix(":0"))
        tensor.type.tensor_type.shape.dim[0].dim_param = BATCH
    onnx.helper.set_model_props(model, full_model.documents)
    onnx.save_model(model, path)


def _rename(graph: Any, old: str, new: str) -> None:
    """Gives a tensor at the edge of a graph another name."""
    for tensor in (*graph.input, *graph.output):
        if tensor.name == old:
            tensor.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
