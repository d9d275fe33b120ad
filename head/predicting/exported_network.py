"""The network of an exported model, as engines run it.

To an engine a whole model is a backbone: images in [0, 1] to vectors, here of
logits, or of features and logits side by side.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# The import registers the layer with Keras, for files that hold one.
from embed.backbones.hub import HubModule
from embed.errors import MissingArtifactError
from head.predicting.encoded_model import EncodedModel
from head.predicting.exported import EXPORT_COMMAND
from head.predicting.exported import KERAS_SUFFIX

SERVING, IMAGES = "serving_default", "images"
IMAGES_SHAPE = ("batch", "height", "width", 3)


def load_network(
    file: Path, num_classes: int, *, with_features: bool = False
) -> keras.Model | EncodedModel:
    """Loads a model from its `.keras` file or SavedModel.

    Args:
        file: Where it lies.
        num_classes: Which it must have.
        with_features: Whether it answers the features of the plain view in
            front of the logits: the backbone runs once for both.

    Returns:
        Images to logits, `(batch, num_classes)`, or to features and logits,
        `(batch, feature_dim + num_classes)`; encoded pictures to logits where
        the model averages views that pixels do not give.

    Raises:
        MissingArtifactError: If the model cannot be read, or does not answer
            what is asked for.
    """
    is_keras = file.suffix == KERAS_SUFFIX
    if with_features and not is_keras:
        raise _lacks_features(file)
    try:
        if is_keras:
            model = keras.models.load_model(file, compile=False)
        else:
            model = _wrap(file)
    except Exception as error:  # Keras and TensorFlow raise anything.
        raise MissingArtifactError(
            f"The model {file} cannot be read: {error}. Export it again with "
            f"`{EXPORT_COMMAND}`."
        ) from error
    if isinstance(model, EncodedModel):
        taken, answered = IMAGES_SHAPE, (None, model.feature_dim)
    else:
        taken, answered = model.input_shape, model.output_shape
    if len(taken) != len(IMAGES_SHAPE) or answered != (None, num_classes):
        raise MissingArtifactError(
            f"The model {file} does not fit its class names. Expected: images "
            f"{IMAGES_SHAPE} to logits of {num_classes} classes. Received: "
            f"{taken} to {answered}. Export it again with `{EXPORT_COMMAND}`."
        )
    if isinstance(model, EncodedModel):
        return model
    if with_features:
        model = _add_features(model, file)
    model.trainable = False
    return model


def _add_features(model: keras.Model, file: Path) -> keras.Model:
    """Returns a model that answers features and logits side by side."""
    found = [
        node.output_tensors[0]
        for layer in model.layers
        for node in layer._inbound_nodes
        # Of the images themselves, not of their mirrors.
        if any(tensor is model.input for tensor in node.input_tensors)
        and len(node.output_tensors[0].shape) == 2
    ]
    if not found:
        raise _lacks_features(file)
    both = keras.layers.Concatenate(name="features_and_logits")
    return keras.Model(model.input, both([found[0], model.output]))


def _lacks_features(file: Path) -> MissingArtifactError:
    return MissingArtifactError(
        f"The model {file} does not answer features, by which neighbours are "
        f"found. Expected: a {KERAS_SUFFIX} file of ours. Export one with "
        f"`{EXPORT_COMMAND} --format keras`."
    )


def _wrap(directory: Path) -> keras.Model | EncodedModel:
    """Returns a SavedModel as a Keras model, or as one of encoded pictures."""
    served = _Served(directory)
    if served.image_shape is None:
        return EncodedModel(served.answer_encoded, served.num_logits)
    images = keras.Input(served.image_shape, name="images")
    layer = HubModule(served.num_logits, served, name="served")
    return keras.Model(images, layer(images), name="served_model")


class _Served:
    """A SavedModel of ours as a module: images to logits.

    Args:
        directory: Where it lies.
    """

    def __init__(self, directory: Path) -> None:
        self._loaded = tf.saved_model.load(str(directory))  # Kept alive.
        self._serve = self._loaded.signatures[SERVING]
        _, named = self._serve.structured_input_signature
        self.image_shape = (
            named["images"].shape[1:] if IMAGES in named else None
        )
        self.num_logits = self._serve.structured_outputs["logits"].shape[-1]
        self.variables = self._serve.variables

    def answer_encoded(self, pictures: list[bytes]) -> np.ndarray:
        """Returns the logits of encoded pictures."""
        answer = self._serve(encoded=tf.constant(pictures))
        logits: np.ndarray = answer["logits"].numpy()
        return logits

    def __call__(self, images: Any, training: bool = False) -> Any:
        return self._serve(images=images)["logits"]
