"""OpenVINO's own format, for any number of images a call."""

import tempfile
from pathlib import Path

import openvino
import tensorflow as tf

from head.exporting.full_model import IMAGES
from head.exporting.full_model import LOGITS
from head.exporting.full_model import PROBABILITIES
from head.exporting.full_model import FullModel

SECTION = "headstart"  # Of `rt_info`.


def write_openvino(full_model: FullModel, path: Path) -> None:
    """Writes an `.xml` file, documents in its `rt_info`, and a `.bin` of it.

    It takes `images` and answers `logits` and `probabilities`, in float32
    where it is compiled with `INFERENCE_PRECISION_HINT=f32`: left alone,
    OpenVINO computes in bfloat16 wherever the processor can.

    Args:
        full_model: What to write.
        path: Of the `.xml` file.
    """
    # Read from a file: `openvino.convert_model` sends usage statistics.
    with tempfile.TemporaryDirectory() as folder:
        graph_def = full_model.freeze(batch_size=None)
        tf.io.write_graph(graph_def, folder, "model.pb", as_text=False)
        model = openvino.Core().read_model(Path(folder) / "model.pb")
    model.input(f"{IMAGES}:0").get_tensor().set_names({IMAGES})
    for name in (LOGITS, PROBABILITIES):
        model.output(f"{name}:0").get_tensor().set_names({name})
    for name, text in full_model.documents.items():
        model.set_rt_info(text, [SECTION, name])
    openvino.save_model(model, path, compress_to_fp16=False)
