"""Any saved Keras model, a `.keras` or `.h5` file, less its classifier."""

import hashlib
from collections.abc import Generator
from pathlib import Path

import keras
import numpy as np

from embed.backbones.backbone import Backbone
from embed.backbones.cut import cut_at
from embed.backbones.cut import cut_before_classifier
from embed.backbones.cut import pool
from embed.backbones.handle import LOCAL
from embed.backbones.handle import MODEL
from embed.backbones.handle import RANGE
from embed.backbones.handle import Handle
from embed.backbones.handle import join_handle
from embed.backbones.known import DEFAULT_SIDE
from embed.backbones.request import BackboneRequest
from embed.backbones.scaling import NUM_CHANNELS
from embed.backbones.scaling import parse_range
from embed.backbones.weights import find_file
from embed.errors import BackboneError

DEFAULT_RANGE, BYTES_RANGE = "0,1", "0,255"
LARGEST_UNIT = 2.0  # A mean or deviation above it is not of pixels in [0, 1].
SMALLEST_UNIT_SCALE = 0.1  # A scale below it is not for pixels in [0, 1].
# Layers, by the start of their names, that leave the range of pixels as it is:
# what changes pixels only in training, and what moves them.
IDLE = (
    "InputLayer",
    "Random",
    "Resizing",
    "CenterCrop",
    "Cropping2D",
    "ZeroPadding2D",
)


def load_model_backbone(request: BackboneRequest, handle: Handle) -> Backbone:
    """Loads a model from a file and cuts it.

    Args:
        request: Its `cut` names the layer whose output is the features.
        handle: `model:FILE[?range=LOW,HIGH]`.

    Raises:
        BackboneError: If it cannot be read, takes no images or cannot be cut
            there.
    """
    path = find_file(handle.place, "model:FILE")
    whole = _read(path, handle)
    image_size = _choose_size(whole, request, handle)
    if request.cut is not None:
        network, cut = cut_at(whole, request.cut), request.cut
    else:
        network, cut = cut_before_classifier(whole)
    text = handle.options.get(RANGE)
    found = None if text else find_range(whole)
    scaling = parse_range(text or found or DEFAULT_RANGE)
    images = keras.Input((*image_size, NUM_CHANNELS), name="images")
    features, pooled = pool(network(scaling.scale_tensor(images)))
    model = keras.Model(images, features, name="backbone_model")
    model.trainable = False
    reason = (
        "as its first layers say"
        if found
        else ("since nothing says another: `?range=LOW,HIGH` does")
    )
    return Backbone(
        name=join_handle(
            MODEL, LOCAL, {"cut": cut, RANGE: text or found or DEFAULT_RANGE}
        ),
        model=model,
        weights_digest=_digest_file(path),
        scaling=scaling,
        remarks=(
            f"The features are the output of its layer {cut!r}. {pooled}"
            f"{' ' if pooled else ''}`--cut` names another.",
            *(
                []
                if text
                else [f"It is given pixels of {scaling.name}, {reason}."]
            ),
        ),
    )


def find_range(model: keras.Model) -> str | None:
    """Returns the pixel range for which a model's first layers scale.

    `None` where they say nothing: a model without a `Rescaling` or
    `Normalization` layer in front, or with one that was never adapted.
    """
    for layer in _leading_layers(model):
        if isinstance(layer, keras.layers.Rescaling):
            scale, offset = (
                np.abs(layer.scale).max(),
                np.abs(layer.offset).max(),
            )
            is_of_bytes = (
                scale < SMALLEST_UNIT_SCALE or offset / scale > LARGEST_UNIT
            )
            return BYTES_RANGE if is_of_bytes else DEFAULT_RANGE
        if isinstance(layer, keras.layers.Normalization):
            mean = np.asarray(layer.mean)
            deviation = np.sqrt(np.asarray(layer.variance))
            if mean.min() <= 0 or layer.invert:
                return None
            is_of_bytes = max(mean.max(), deviation.max()) > LARGEST_UNIT
            return BYTES_RANGE if is_of_bytes else DEFAULT_RANGE
    return None


def _leading_layers(
    model: keras.Model,
) -> Generator[keras.layers.Layer, None, bool]:
    """Yields the layers that pixels pass first, those of models inside too.

    Returns:
        Whether they pass the whole model so.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            if not (yield from _leading_layers(layer)):
                return False
            continue
        yield layer
        is_scaling = isinstance(
            layer, keras.layers.Rescaling | keras.layers.Normalization
        )
        if not (is_scaling or type(layer).__name__.startswith(IDLE)):
            return False
    return True


def _read(path: Path, handle: Handle) -> keras.Model:
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # h5py, zipfile and Keras raise anything.
        detail = str(error).strip().splitlines()[0] if str(error) else ""
        raise BackboneError(
            f"The model {handle.place} cannot be read. Expected: a saved Keras "
            "model, `.keras` or `.h5`, of Keras's own layers. Received: "
            f"{type(error).__name__}: {detail[:300]}. Save it with "
            "`model.save(FILE)`, or `model.export(DIR)` and give it as "
            "`--backbone savedmodel:DIR`."
        ) from error
    shape = getattr(model, "input_shape", None)
    if (
        not isinstance(shape, tuple)
        or len(shape) != 4
        or shape[-1] != NUM_CHANNELS
        or not hasattr(model, "layers")
    ):
        raise BackboneError(
            f"The model {handle.place} does not take images. Expected: one "
            f"input, (batch, height, width, 3). Received: {shape}. Give "
            "another with `--backbone model:FILE`."
        )
    return model


def _choose_size(
    model: keras.Model, request: BackboneRequest, handle: Handle
) -> tuple[int, int]:
    """Returns the size of images, refusing one that does not fit."""
    _, height, width, _ = model.input_shape
    wanted = request.image_size or (
        height or DEFAULT_SIDE,
        width or DEFAULT_SIDE,
    )
    if wanted != (height or wanted[0], width or wanted[1]):
        raise BackboneError(
            f"The model {handle.place} takes images of one size. Expected: "
            f"{(height, width)}. Received: {wanted}. Leave out `--image-size`."
        )
    return wanted


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
