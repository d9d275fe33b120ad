"""Where a Keras model is cut, so that it answers one vector a picture."""

import itertools
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras

from embed.errors import BackboneError

MAX_LISTED = 12  # Layers that a message names, the last ones.
# What stands in front of or behind the last dense layer and adds no features.
TRANSPARENT = (
    keras.layers.Dropout,
    keras.layers.Activation,
    keras.layers.Softmax,
    keras.layers.Reshape,
    keras.layers.Flatten,
)
POOLINGS = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
)


def cut_at(model: keras.Model, name: str) -> keras.Model:
    """Returns a model of images to the output of a layer.

    Args:
        model: Of one input.
        name: Of the layer; `OUTER/INNER` for a layer of a model inside.

    Raises:
        BackboneError: If there is no such layer, or it has several outputs.
    """
    for layer in model.layers:
        if layer.name == name:
            return keras.Model(model.inputs[0], _output_of(model, layer))
        if isinstance(layer, keras.Model) and name.startswith(f"{layer.name}/"):
            inner = cut_at(layer, name.removeprefix(f"{layer.name}/"))
            return keras.Model(model.inputs[0], inner(_input_of(model, layer)))
    names = list(_list_layers(model))
    raise BackboneError(
        f"The model has no layer {name!r} to be cut at. Expected: one of its "
        f"{len(names)} layers, such as {names[-MAX_LISTED:]}. Give one with "
        "`--cut`."
    )


def cut_before(model: keras.Model, path: Sequence[Any]) -> keras.Model:
    """Returns a model of images to what goes into a layer.

    Args:
        model: Of one input.
        path: The layer, behind the models inside that it is in.

    Raises:
        BackboneError: If a layer of the path is called more than once.
    """
    layer, *inner = path
    tensor = _input_of(model, layer)
    if inner:
        tensor = cut_before(layer, inner)(tensor)
    return keras.Model(model.inputs[0], tensor)


def cut_before_classifier(model: keras.Model) -> tuple[keras.Model, str]:
    """Cuts a model where its features are, in front of the last dense layer.

    Without a dense layer that is behind the global pooling that all of it
    passes, and where there is neither the model is what it was.

    Returns:
        The model of images to features, and the name of the last layer.
    """
    layers = model.layers
    last = len(layers) - 1
    while last > 0 and isinstance(layers[last], TRANSPARENT):
        last -= 1
    layer = layers[last]
    if isinstance(layer, keras.Model):
        inner, name = cut_before_classifier(layer)
        if inner is layer:
            return model, layers[-1].name
        features = inner(_input_of(model, layer))
        return keras.Model(model.inputs[0], features), f"{layer.name}/{name}"
    if isinstance(layer, keras.layers.Dense):
        features = _input_of(model, layer)
    else:
        pooling = _find_pooling(model, layer)
        if pooling is None:
            return model, layers[-1].name
        features = _output_of(model, pooling)
    history = getattr(features, "_keras_history", None)
    producer = history.operation if history else layer
    while isinstance(producer, TRANSPARENT[:1]):  # Silent when it is used.
        features = _input_of(model, producer)
        producer = features._keras_history.operation
    return keras.Model(model.inputs[0], features), producer.name


def pool(features: Any, *, is_first_token: bool = False) -> tuple[Any, str]:
    """Makes one float32 vector a picture of what a network answers.

    Args:
        features: Tensor `(batch, feature_dim)`, a map of two axes more, or
            tokens, of one axis more.
        is_first_token: Whether the first token stands for all.

    Returns:
        Tensor `(batch, feature_dim)`, and a remark, `""` where nothing was
        done.

    Raises:
        BackboneError: If it is of none of these shapes.
    """
    shape = getattr(features, "shape", None)
    remark = ""
    if shape is not None and len(shape) == 4:
        pooling = keras.layers.GlobalAveragePooling2D(name="pooled")
        features = pooling(features)
        remark = f"The mean of its maps {tuple(shape[1:])} is taken."
    elif shape is not None and len(shape) == 3 and is_first_token:
        features = features[:, 0]
        remark = f"The first of its {shape[1]} tokens is taken."
    elif shape is not None and len(shape) == 3:
        pooling = keras.layers.GlobalAveragePooling1D(name="pooled")
        features = pooling(features)
        remark = f"The mean of its tokens {tuple(shape[1:])} is taken."
    elif shape is None or len(shape) != 2:
        raise BackboneError(
            "The model does not answer features. Expected: one output, "
            "(batch, feature_dim), (batch, tokens, feature_dim) or (batch, "
            f"height, width, feature_dim). Received: {shape or features}. "
            "Cut it at another layer with `--cut`."
        )
    if features.shape[-1] is None:
        raise BackboneError(
            "The number of features is not known. Expected: a fixed last "
            f"axis. Received: {features.shape}. Cut it at another layer with "
            "`--cut`, or give `--image-size`."
        )
    if features.dtype != "float32":
        features = keras.ops.cast(features, "float32")
    return features, remark


def _find_pooling(model: keras.Model, layer: Any) -> Any:
    """Returns the global pooling that all passes on its way to a layer.

    Those in the blocks of a network, which squeeze and excite, are on one of
    two ways. `None` where there is no other.
    """
    while not isinstance(layer, POOLINGS):
        try:
            history = _input_of(model, layer)._keras_history
        except BackboneError:  # Of several inputs, or the first one.
            return None
        layer = history.operation
    return layer


def _input_of(model: keras.Model, layer: Any) -> Any:
    return _tensor_of(model, layer, "input")


def _output_of(model: keras.Model, layer: Any) -> Any:
    return _tensor_of(model, layer, "output")


def _tensor_of(model: keras.Model, layer: Any, side: str) -> Any:
    """Returns what goes into a layer of a model or comes out of it."""
    graph = getattr(model, "_functional", None) or model  # Of a Sequential.
    by_depth = getattr(graph, "_nodes_by_depth", {})
    nodes = set(itertools.chain.from_iterable(by_depth.values()))
    calls = [node for node in layer._inbound_nodes if node in nodes]
    tensors = [getattr(call, f"{side}_tensors") for call in calls]
    if len(tensors) != 1 or len(tensors[0]) != 1:
        received = [len(of_call) for of_call in tensors]
        raise BackboneError(
            f"The model cannot be cut at {layer.name!r}. Expected: a layer "
            f"called once, with one {side}, in a functional or sequential "
            f"model. Received: {len(received)} calls, with {received} {side}s."
            " Give another with `--cut`."
        )
    return tensors[0][0]


def _list_layers(model: keras.Model) -> Iterator[str]:
    for layer in model.layers:
        yield layer.name
        if isinstance(layer, keras.Model):
            yield from (f"{layer.name}/{name}" for name in _list_layers(layer))
