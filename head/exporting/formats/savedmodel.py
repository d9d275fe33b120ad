"""A TensorFlow SavedModel, which takes encoded pictures too."""

import tempfile
from pathlib import Path

import tensorflow as tf

from embed.images import decode_and_resize
from head.exporting.full_model import ENCODED
from head.exporting.full_model import IMAGES
from head.exporting.full_model import LOGITS
from head.exporting.full_model import PROBABILITIES
from head.exporting.full_model import FullModel

BYTES_SIGNATURE = "serve_bytes"
CLASS_NAMES = "class_names"


class ServedModel(tf.Module):
    """A full model as a SavedModel serves it.

    The signatures `serving_default` (float images) and `serve_bytes` (encoded
    JPEG, PNG, BMP or GIF) answer `class_names` `(batch,)`, the most probable
    class, and `probabilities` and `logits` `(batch, num_classes)` in the order
    of `labels.txt`. A model that averages views of whole pictures takes them
    in both.

    Args:
        full_model: What is served.
        folder: Holds its documents, which become assets.
    """

    def __init__(self, full_model: FullModel, folder: Path) -> None:
        super().__init__()
        model = full_model.model
        _, height, width, channels = model.input_shape
        self.model = model
        of_views = full_model.of_views
        self.documents = [
            tf.saved_model.Asset(str(folder / name))
            for name in full_model.documents
        ]
        class_names = tf.constant(list(full_model.class_names))

        def name(logits: tf.Tensor) -> dict[str, tf.Tensor]:
            return {
                CLASS_NAMES: tf.gather(class_names, tf.argmax(logits, axis=-1)),
                PROBABILITIES: tf.nn.softmax(logits),
                LOGITS: logits,
            }

        def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return name(model(images, training=False))

        def answer_bytes(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
            if of_views:
                return name(of_views(encoded))
            images = tf.map_fn(
                lambda one: decode_and_resize(one, (height, width)),
                encoded,
                fn_output_signature=tf.TensorSpec(
                    (height, width, channels), tf.float32
                ),
            )
            return answer(images)

        image_spec = tf.TensorSpec(
            (None, height, width, channels), tf.float32, name=IMAGES
        )
        bytes_spec = tf.TensorSpec((None,), tf.string, name=ENCODED)
        self.serve_bytes = tf.function(
            answer_bytes, input_signature=[bytes_spec]
        )
        if of_views:
            self.serve = self.serve_bytes
            # A module of TF-Hub has variables of its own at each size; networks
            # share those of `model`, which would be saved twice.
            own = {id(variable.value) for variable in model.variables}
            used = self.serve_bytes.get_concrete_function().variables
            self.others = [v for v in used if id(v) not in own]
        else:
            self.serve = tf.function(answer, input_signature=[image_spec])


def write_saved_model(full_model: FullModel, path: Path) -> None:
    """Writes a SavedModel; its documents are in `assets/`.

    Args:
        full_model: What to write.
        path: Of the folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, text in full_model.documents.items():
            (Path(folder) / name).write_text(text, "utf-8")
        served = ServedModel(full_model, Path(folder))
        tf.saved_model.save(
            served,
            str(path),
            signatures={
                "serving_default": served.serve,
                BYTES_SIGNATURE: served.serve_bytes,
            },
        )
