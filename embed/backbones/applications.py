"""Any network of `keras.applications`, pooled, with its own pixel scaling."""

import ast
import importlib
import inspect
from typing import TYPE_CHECKING
from typing import Any

from embed.backbones.backbone import Backbone
from embed.backbones.handle import RANGE
from embed.backbones.handle import Handle
from embed.backbones.handle import join_handle
from embed.backbones.known import APPLICATIONS
from embed.backbones.known import DEFAULT_SIDE
from embed.backbones.known import IMAGENET_AT_ONE_SIZE
from embed.backbones.request import BackboneRequest
from embed.backbones.scaling import parse_range
from embed.backbones.scaling import read_scaling
from embed.backbones.weights import set_weights
from embed.errors import BackboneError
from embed.network import WAYS_OUT
from embed.network import limit_silence
from embed.spec import digest_arrays

if TYPE_CHECKING:
    import keras

IMAGENET = "imagenet"
# Set here, or by options of ours.
RESERVED = {"include_top", "weights", "input_shape", "pooling", "name"}
RESERVED |= {"input_tensor", "classes", "classifier_activation"}
# Without it the network takes other pixels than its `preprocess_input` gives.
RESERVED |= {"include_preprocessing"}


def load_keras_backbone(
    request: BackboneRequest, handle: Handle, *, is_bare: bool = False
) -> Backbone:
    """Builds the network that `keras:NAME[?option=value&...]` names.

    The options are arguments of its constructor, e.g. `alpha=1.4`, and
    `range` for weights that were trained on other pixels than its own.

    Args:
        request: What to build.
        handle: Of the request.
        is_bare: Whether it is left as Keras initializes it: nothing is
            fetched for whoever has the weights already.

    Raises:
        BackboneError: If there is no such network or option, or the weights
            cannot be had or do not fit.
    """
    import keras

    name, options = handle.place, dict(handle.options)
    constructor = _constructor(name)
    module = importlib.import_module(constructor.__module__)
    if RANGE in options:
        scaling = parse_range(options.pop(RANGE))
    else:
        scaling = read_scaling(module.preprocess_input)
    arguments = _parse_options(name, constructor, options)
    image_size = request.image_size or _default_size(name)
    weights = IMAGENET if request.weights == IMAGENET and not is_bare else None
    _check_size(request, name, image_size, weights)
    network = whole = _build(
        request, constructor, arguments, image_size, weights
    )
    cut = {} if request.cut is None else {"cut": request.cut}
    if request.cut is not None:
        from embed.backbones.cut import cut_at

        network = cut_at(network, request.cut)
    images = keras.Input((*image_size, 3), name="images")
    features, remark = network(scaling.scale_tensor(images)), ""
    if request.cut is not None:
        from embed.backbones.cut import pool

        features, remark = pool(features)
    model = keras.Model(images, features, name=f"backbone_{name.lower()}")
    if weights is None and not is_bare:
        set_weights(whole, model, request)
    model.trainable = False
    return Backbone(
        name=join_handle(handle.kind, name, handle.options | cut),
        model=model,
        weights_digest=digest_arrays(network.get_weights()),
        scaling=scaling,
        remarks=(remark,) if remark else (),
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


def _parse_options(
    name: str, constructor: Any, options: dict[str, str]
) -> dict[str, Any]:
    """Turns `alpha=1.4&depth=2` into arguments of the constructor."""
    accepted = set(inspect.signature(constructor).parameters) - RESERVED
    arguments = {}
    for key, text in options.items():
        if key not in accepted:
            raise BackboneError(
                f"The network {name} has no option {key!r}. Expected: one of "
                f"{sorted([*accepted, RANGE])}. Write `--backbone keras:{name}"
                "[?option=value]`."
            )
        try:
            arguments[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            arguments[key] = text
    return arguments


def _default_size(name: str) -> tuple[int, int]:
    known = APPLICATIONS.get(name)
    side = known.side if known else DEFAULT_SIDE
    return side, side


def _check_size(
    request: BackboneRequest,
    name: str,
    image_size: tuple[int, int],
    weights: str | None,
) -> None:
    """Refuses sizes that a network does not take, before anything is fetched.

    Raises:
        BackboneError: If this is one.
    """
    known = APPLICATIONS.get(name)
    if known is None:
        return
    if min(image_size) < known.min_side:
        raise BackboneError(
            f"The images are too small for the backbone {request.handle}. "
            f"Expected: {known.min_side} px or more, and {known.side} px as "
            f"it was trained. Received: {image_size}. Try another "
            f"`--image-size`, e.g. `--image-size {known.side}`."
        )
    own = known.side, known.side
    if (
        name in IMAGENET_AT_ONE_SIZE
        and weights == IMAGENET
        and image_size != own
    ):
        raise BackboneError(
            f"The ImageNet weights of {request.handle} are given for one size "
            f"alone. Expected: {own}. Received: {image_size}. Run again with "
            f"`--image-size {known.side}`."
        )


def _build(
    request: BackboneRequest,
    constructor: Any,
    arguments: dict[str, Any],
    image_size: tuple[int, int],
    weights: str | None,
) -> "keras.Model":
    def build(weights: str | None) -> "keras.Model":
        with limit_silence():
            return constructor(
                include_top=False,
                weights=weights,
                input_shape=(*image_size, 3),
                pooling=None if request.cut else "avg",
                **arguments,
            )

    try:
        return build(weights)
    except Exception as error:  # Networks raise anything for a wrong option.
        failure = error
    detail = str(failure).strip().rstrip(".")
    if weights is not None:
        try:
            build(None)
        except Exception as error:
            failure = error
        else:
            raise BackboneError(
                f"The ImageNet weights of {request.handle} could not be had: "
                f"{detail}. {WAYS_OUT}"
            ) from failure
    raise BackboneError(
        f"The backbone {request.handle} could not be built at {image_size}: "
        f"{detail}. Try another `--image-size`, or other options."
    ) from failure
