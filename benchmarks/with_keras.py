"""Pictures through Keras, as one writes it: `predict`, and `fit` on the whole.

Pictures come from `tf.data`, which decodes ahead on all cores.
"""

from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.backbones import BackboneRequest
from embed.devices import prepare_devices

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

ALPHA = 1.4
HANDLE = f"keras:MobileNetV2?alpha={ALPHA}"
IMAGE_SIDE = 224  # Pixels.
BATCH_SIZE = 32


def request_backbone(weights: str) -> BackboneRequest:
    """Returns the request for the network of all ways."""
    side = (IMAGE_SIDE, IMAGE_SIDE)
    return BackboneRequest(handle=HANDLE, weights=weights, image_size=side)


def save_random_weights(path: Path) -> None:
    """Draws the weights that all ways use, once.

    Speed does not depend on them, as long as activations are normal numbers:
    a fresh network's are denormal, which takes twice the time.
    """
    load(weights="random").layers[-1].save_weights(path)


def load(weights: str) -> "keras.Model":
    """Returns the frozen model, pixels in [0, 1] to features."""
    prepare_devices()
    from embed.backbones import load_backbone

    return load_backbone(request_backbone(weights)).model


def create_full_model(
    weights: str, *, dropout: float, learning_rate: float, num_classes: int
) -> "keras.Model":
    """Returns frozen backbone and head, as one trains them."""
    import keras

    model = keras.Sequential(
        [
            load(weights),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(num_classes),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def feed(paths: list[str], labels: list[int], *, is_training: bool) -> Any:
    """Returns batches of pixels and labels; in training drawn and mirrored."""
    import tensorflow as tf

    def read(path: "tf.Tensor", label: "tf.Tensor") -> Any:
        pixels = decode(path)
        if is_training:
            pixels = tf.image.random_flip_left_right(pixels)
        return pixels, label

    pictures = tf.data.Dataset.from_tensor_slices((paths, labels))
    if is_training:
        pictures = pictures.shuffle(len(paths))
    pictures = pictures.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    pictures = pictures.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    return without_autotuning(pictures)


def without_autotuning(batches: "tf.data.Dataset") -> "tf.data.Dataset":
    """Returns the dataset with all cores from the start, and no tuner.

    At the end of a dataset TensorFlow 2.21 wakes its tuner before it says that
    all is over; where the tuner looks in between, it sleeps on, for up to as
    long as the dataset has run, and `predict` and `fit` wait for it: half of
    their runs. No figure of ours is to rest on that.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def decode(path: "tf.Tensor") -> "tf.Tensor":
    """Reads a JPEG file in a graph, as tutorials of `tf.data` do."""
    import tensorflow as tf

    pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    pixels = tf.image.convert_image_dtype(pixels, tf.float32)
    return tf.image.resize(pixels, (IMAGE_SIDE, IMAGE_SIDE))


def run_predict(paths: list[str], weights: str) -> np.ndarray:
    """Returns features by `keras.Model.predict`."""
    model = load(weights)
    import tensorflow as tf

    images = (
        tf.data.Dataset.from_tensor_slices(paths)
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH_SIZE)
        .prefetch(tf.data.AUTOTUNE)
    )
    features: np.ndarray = model.predict(without_autotuning(images), verbose=0)
    return features
