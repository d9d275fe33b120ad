"""TFLite, in float32 and in 8 bits, one image a call.

The batch is of one image, as on phones: a batch of any size is a dynamic
shape, which accelerators refuse. Signature `serving_default`, `images` to
`logits` and `probabilities`.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from embed.startup import quiet_start
from head.exporting.formats.attachment import attach
from head.exporting.full_model import IMAGES
from head.exporting.full_model import LOGITS
from head.exporting.full_model import PROBABILITIES
from head.exporting.full_model import FullModel


def write_tflite(
    full_model: FullModel, path: Path, *, is_quantized: bool
) -> None:
    """Writes a `.tflite` file, which is a zip archive of its documents too.

    Args:
        full_model: What to write.
        path: Of the file.
        is_quantized: Whether weights (by channel) and activations become
            8-bit integers; images and answers stay float32, as do the few
            operations that have no 8-bit form (the sign in a square root).
    """
    module = _create_module(full_model)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    if is_quantized:

        def represent() -> Iterator[dict[str, Any]]:
            for image in full_model.read_calibration_images():
                yield {IMAGES: image[None]}

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = represent
    with quiet_start(), warnings.catch_warnings():
        # The calibration runs in tf.lite.Interpreter, which says that it goes.
        warnings.simplefilter("ignore", UserWarning)
        content = converter.convert()
    path.write_bytes(content)
    attach(path, full_model.documents)


def _create_module(full_model: FullModel) -> tf.Module:
    """Returns an object with a function `serve`, which names its tensors.

    The graph must be frozen first: from a function with variables the
    converter makes, without a word, a model that answers NaN.
    """
    graph_def = full_model.freeze(batch_size=1)
    shape = (1, *full_model.model.input_shape[1:])

    @tf.function(
        input_signature=[tf.TensorSpec(shape, tf.float32, name=IMAGES)]
    )
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        logits, probabilities = tf.graph_util.import_graph_def(
            graph_def,
            {IMAGES: images},
            [f"{LOGITS}:0", f"{PROBABILITIES}:0"],
            name="",
        )
        return {LOGITS: logits, PROBABILITIES: probabilities}

    module = tf.Module()
    module.serve = serve
    return module
