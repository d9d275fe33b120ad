"""The normalisations of a Keras model, by its layers: no graph is made.

They are at the front of a network, or nowhere: looking costs nothing, and only
what stands in front of one has to be run.
"""

import functools
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from embed.backbones.cut import cut_before

NORMALISATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.Normalization,
)
OPAQUE = ("HubModule", "TFSMLayer")  # Graphs within, which have no layers.

# What answers the activations in front, the means, the variances.
Stored = tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, np.ndarray]


def is_read_by_layers(model: keras.Model) -> bool:
    """Tells whether every normalisation is a layer that can be cut in front of.

    Args:
        model: Also one without any.
    """
    layers = list(model._flatten_layers())
    if any(type(layer).__name__ in OPAQUE for layer in layers):
        return False
    found = {id(one) for one in layers if isinstance(one, NORMALISATIONS)}
    return found == {id(path[-1]) for path in _find_paths(model)}


def read_layers(model: keras.Model) -> Iterator[Stored]:
    """Yields what each normalisation by channel stored, the first one first.

    Args:
        model: One that `is_read_by_layers`.

    Raises:
        BackboneError: If one is called more than once.
    """
    for path in _find_paths(model):
        layer = path[-1]
        if isinstance(layer, keras.layers.BatchNormalization):
            mean, variance = layer.moving_mean, layer.moving_variance
        else:
            mean, variance = layer.mean, layer.variance
        if mean is None or getattr(layer, "invert", False):
            continue
        front = cut_before(model, path)
        means, variances = (
            np.asarray(values).reshape(-1) for values in (mean, variance)
        )
        if means.shape == variances.shape == front.output.shape[-1:]:
            yield functools.partial(_run, front), means, variances


def _run(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.asarray(model(images, training=False))


def _find_paths(model: keras.Model) -> Iterator[list[Any]]:
    """Yields each normalisation, behind the models that it is in."""
    for layer in model.layers:
        if isinstance(layer, NORMALISATIONS):
            yield [layer]
        elif isinstance(layer, keras.Model):
            yield from ([layer, *path] for path in _find_paths(layer))
