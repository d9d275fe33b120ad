"""Any network of `keras.applications`, pooled, with its own pixel scaling."""

import ast
import importlib
import inspect
import urllib.parse
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.backbones.backbone import Backbone
from embed.backbones.request import BackboneRequest
from embed.backbones.weights import set_weights
from embed.errors import BackboneError
from embed.network import WAYS_OUT
from embed.network import limit_silence
from embed.spec import digest_arrays

if TYPE_CHECKING:
    import keras

PREFIX = "keras:"
MAX_PIXEL = 255.0  # `preprocess_input` of every application takes 0 to 255.


def load_keras_backbone(request: BackboneRequest) -> Backbone:
    """Builds the network that `keras:NAME[?option=value&...]` names.

    The options are arguments of its constructor, e.g. `alpha=1.4`.

    Raises:
        BackboneError: If there is no such network or option, or the weights
            cannot be had or do not fit.
    """
    name, _, query = request.handle.removeprefix(PREFIX).partition("?")
    constructor = _constructor(name)
    options = _parse_options(name, constructor, query)
    network = _build(request, constructor, options)
    model = _with_pixel_scaling(name, constructor, network, request.image_size)
    if request.weights != "imagenet":
        set_weights(network, model, request)
    model.trainable = False
    return Backbone(
        name=request.handle,
        model=model,
        weights_digest=digest_arrays(network.get_weights()),
    )


def _constructor(name: str) -> Any:
    import keras

    constructor = getattr(keras.applications, name, None)
    if not inspect.isfunction(constructor):
        known = sorted(
            attribute
            for attribute in dir(keras.applications)
            if inspect.isfunction(getattr(keras.applications, attribute))
        )
        raise BackboneError(
            f"keras.applications has no network {name!r}. Expected: one of "
            f"{known}. Give one with `--backbone keras:NAME`."
        )
    return constructor


def _parse_options(name: str, constructor: Any, query: str) -> dict[str, Any]:
    """Reads `alpha=1.4&depth=2` into arguments of the constructor."""
    reserved = {"include_top", "weights", "input_shape", "pooling", "name"}
    reserved |= {"input_tensor", "classes", "classifier_activation"}
    accepted = set(inspect.signature(constructor).parameters) - reserved
    options = {}
    for key, text in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key not in accepted:
            raise BackboneError(
                f"The network {name} has no option {key!r}. Expected: one of "
                f"{sorted(accepted)}. Write `--backbone keras:{name}"
                "[?option=value]`."
            )
        try:
            options[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[key] = text
    return options


def _build(
    request: BackboneRequest, constructor: Any, options: dict[str, Any]
) -> "keras.Model":
    weights = "imagenet" if request.weights == "imagenet" else None
    try:
        with limit_silence():
            return constructor(
                include_top=False,
                weights=weights,
                input_shape=(*request.image_size, 3),
                pooling="avg",
                **options,
            )
    except Exception as error:  # Networks raise anything for a wrong option.
        raise BackboneError(
            f"The backbone {request.handle} could not be built with weights "
            f"{request.weights} at {request.image_size}: {error}. Try another "
            f"`--image-size`, or `--weights random`. {WAYS_OUT}"
        ) from error


def _with_pixel_scaling(
    name: str,
    constructor: Any,
    network: "keras.Model",
    image_size: tuple[int, int],
) -> "keras.Model":
    """Puts the network's own preprocessing in front of it.

    `preprocess_input` is affine in each channel, possibly with the channels
    reversed (RGB to BGR): three pictures of one colour tell scale, offset and
    order, so that no table of networks has to be kept.
    """
    import keras

    module = importlib.import_module(constructor.__module__)
    black = np.zeros((1, 1, 1, 3), np.float32)
    offset = module.preprocess_input(black.copy()).reshape(3)
    gains = np.stack(
        [
            module.preprocess_input(
                black + MAX_PIXEL * np.eye(3, dtype=np.float32)[channel]
            ).reshape(3)
            - offset
            for channel in range(3)
        ]
    )
    is_reversed = abs(gains[0, 0]) < abs(gains[0, 2])
    scale = np.diag(gains[:, ::-1] if is_reversed else gains)
    images = keras.Input((*image_size, 3), name="images")
    x = keras.ops.flip(images, axis=-1) if is_reversed else images
    if is_reversed:
        scale = scale[::-1]
    x = keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="pixels")(
        x
    )
    return keras.Model(images, network(x), name=f"backbone_{name.lower()}")
