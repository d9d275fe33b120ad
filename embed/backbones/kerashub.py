"""Image backbones of KerasHub, with the scaling of their own presets."""

import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from embed.backbones.backbone import Backbone
from embed.backbones.cut import cut_at
from embed.backbones.cut import pool
from embed.backbones.handle import KERAS_HUB
from embed.backbones.handle import LOCAL
from embed.backbones.handle import RANGE
from embed.backbones.handle import Handle
from embed.backbones.handle import join_handle
from embed.backbones.known import DEFAULT_SIZE
from embed.backbones.request import BackboneRequest
from embed.backbones.scaling import MAX_PIXEL
from embed.backbones.scaling import NUM_CHANNELS
from embed.backbones.scaling import PixelScaling
from embed.backbones.scaling import parse_range
from embed.errors import BackboneError
from embed.network import WAYS_OUT
from embed.network import limit_silence
from embed.spec import digest_arrays

INSTALL = "`python -m pip install 'headstart[kerashub]'`"
# Their classifiers look at the first token; all others take the mean.
WITH_CLASS_TOKEN = (
    "DeiTBackbone",
    "DINOV2Backbone",
    "DINOV3Backbone",
    "ViTBackbone",
)
METADATA = "metadata.json"  # Of a preset: says when it was saved.


def load_keras_hub_backbone(
    request: BackboneRequest, handle: Handle
) -> Backbone:
    """Loads the image backbone of a preset.

    Args:
        request: Its `cut` names a layer.
        handle: `kerashub:PRESET`, a name, a `kaggle://` or `hf://` address, or
            a folder that `save_to_preset` wrote.

    Raises:
        BackboneError: If KerasHub is not installed, or the preset cannot be
            had or is none of images.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise BackboneError(
            f"The backbone {handle} is loaded by the package keras-hub, which "
            f"is not installed. Install it with {INSTALL}."
        ) from error
    with _explain(handle):
        network = keras_hub.models.Backbone.from_preset(handle.place)
    config = network.get_config()
    has_class_token = type(network).__name__ in WITH_CLASS_TOKEN
    network, own_size = _take_images(network, handle)
    if RANGE in handle.options:
        scaling, usual_size = parse_range(handle.options[RANGE]), None
    else:
        scaling, usual_size = _scaling_of(handle, keras_hub)
    image_size = request.image_size or own_size or usual_size
    image_size = image_size or DEFAULT_SIZE
    if own_size not in (None, image_size):
        raise BackboneError(
            f"The backbone {handle} takes images of one size. Expected: "
            f"{own_size}. Received: {image_size}. Leave out `--image-size`."
        )
    digest = _digest(network, config, scaling, handle)
    if request.cut is not None:
        network = cut_at(network, request.cut)
    images = keras.Input((*image_size, NUM_CHANNELS), name="images")
    try:
        answer = network(scaling.scale_tensor(images))
    except Exception as error:  # Networks raise anything for a wrong size.
        detail = str(error).strip().splitlines()[0]
        raise BackboneError(
            f"The backbone {handle} does not take images of {image_size}: "
            f"{detail}. Try another `--image-size`."
        ) from error
    if isinstance(answer, dict):  # A map a stage: the last is the smallest.
        answer = min(
            answer.values(), key=lambda maps: math.prod(maps.shape[1:3])
        )
    features, remark = pool(answer, is_first_token=has_class_token)
    model = keras.Model(images, features, name="backbone_kerashub")
    model.trainable = False
    cut = {} if request.cut is None else {"cut": request.cut}
    return Backbone(
        name=join_handle(
            KERAS_HUB,
            LOCAL if handle.is_local else handle.place,
            handle.options | cut,
        ),
        model=model,
        weights_digest=digest,
        scaling=scaling,
        remarks=(remark,) if remark else (),
    )


def _scaling_of(
    handle: Handle, keras_hub: Any
) -> tuple[PixelScaling, tuple[int, int] | None]:
    """Returns what a preset does to pixels of 0 to 255, and to what size."""
    try:
        with _explain(handle):
            converter = keras_hub.layers.ImageConverter.from_preset(
                handle.place
            )
    except BackboneError as error:
        raise BackboneError(
            f"The preset {handle} says nothing about pixels: "
            f"{error.__cause__}. Expected: an image converter. Write "
            f"`--backbone {handle}?range=0,1`, or the range that the backbone "
            "was trained on."
        ) from error
    scale = (
        np.ones(NUM_CHANNELS) if converter.scale is None else converter.scale
    )
    offset = 0.0 if converter.offset is None else converter.offset
    gains = np.broadcast_to(np.multiply(scale, MAX_PIXEL), NUM_CHANNELS)
    offsets = np.broadcast_to(offset, NUM_CHANNELS)
    scaling = PixelScaling(tuple(map(float, gains)), tuple(map(float, offsets)))
    size = converter.image_size
    return scaling, (int(size[0]), int(size[1])) if size else None


def _take_images(
    network: keras.Model, handle: Handle
) -> tuple[keras.Model, tuple[int, int] | None]:
    """Returns a model of images, and their size if it is fixed."""
    inputs = getattr(network, "inputs", None) or []
    shape = tuple(inputs[0].shape) if len(inputs) == 1 else None
    if shape is None or len(shape) != 4 or shape[-1] != NUM_CHANNELS:
        received = {tensor.name: tuple(tensor.shape) for tensor in inputs}
        raise BackboneError(
            f"The preset {handle} is not one of an image backbone. Expected: "
            f"one input, (batch, height, width, 3). Received: {received}. "
            "`python -m embed backbones --kind kerashub` lists those that are."
        )
    _, height, width, _ = shape
    if isinstance(network.input, dict):  # Of one image, by its name.
        network = keras.Model(inputs[0], network.output)
    return network, (height, width) if height and width else None


@contextlib.contextmanager
def _explain(handle: Handle) -> Iterator[None]:
    """Turns whatever KerasHub raises into one message."""
    try:
        with limit_silence():
            yield
    except Exception as error:  # Kaggle, Hugging Face and Keras, anything.
        lines = str(error).strip().splitlines() or [""]
        raise BackboneError(
            f"The preset {handle} cannot be had: {type(error).__name__}: "
            f"{lines[0].rstrip('.:')}. Expected: a name that `python -m embed "
            "backbones --kind kerashub` lists, a `kaggle://` or `hf://` "
            "address, or a folder that `save_to_preset` wrote. Give one with "
            f"`--backbone kerashub:PRESET`. {WAYS_OUT}"
        ) from error


def _digest(
    network: keras.Model,
    config: dict[str, Any],
    scaling: PixelScaling,
    handle: Handle,
) -> str:
    """Returns the SHA-256 of all of a preset that changes a vector.

    Of the files of a folder; of any other its weights, its network and what
    it does to pixels: a preset may change under the same name.
    """
    digest = hashlib.sha256()
    if not handle.is_local:
        digest.update(digest_arrays(network.get_weights()).encode())
        described = {k: v for k, v in config.items() if k != "name"}
        pixels = dataclasses.asdict(scaling)
        plain = keras.saving.serialize_keras_object([described, pixels])
        digest.update(json.dumps(plain, sort_keys=True).encode())
        return digest.hexdigest()
    for path in sorted(Path(handle.path).iterdir()):
        if path.is_file() and path.name != METADATA:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.name}\0{content}\0".encode())
    return digest.hexdigest()
