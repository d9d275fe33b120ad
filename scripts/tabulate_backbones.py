"""Prints the rows of `embed/backbones/known.py`, by building every network.

    python scripts/tabulate_backbones.py

No weights are fetched. Run it when Keras has new networks; it takes minutes.
"""

import gc
import importlib
import inspect
from typing import Any

import keras
import keras_hub

from embed.backbones.known import DEFAULT_SIDE
from embed.backbones.scaling import read_scaling

SMALLEST_SIDE = 16  # None takes less.
LARGEST_SIDE = 512


# Image backbones without a classifier of their own in KerasHub.
WITHOUT_CLASSIFIER = ("DINOV2Backbone", "DINOV3Backbone")
NOT_ONE_VECTOR = ("MobileNetV5Backbone",)  # Needs a pooling of its own.


def main() -> None:
    """Prints a row a network, then a row a preset."""
    for name in sorted(dir(keras.applications)):
        constructor = getattr(keras.applications, name)
        if inspect.isfunction(constructor):
            print(describe(name, constructor), flush=True)
            keras.backend.clear_session()
            gc.collect()
    for name, preset in sorted(list_presets().items()):
        print(f'"{name}": {preset["metadata"]["params"]:_},')


def list_presets() -> dict[str, dict[str, Any]]:
    """Returns the presets of KerasHub whose backbones take images alone."""
    backbones = [getattr(keras_hub.models, name) for name in WITHOUT_CLASSIFIER]
    for name in dir(keras_hub.models):
        classifier = getattr(keras_hub.models, name)
        if name.endswith("ImageClassifier") and classifier.backbone_cls:
            backbones.append(classifier.backbone_cls)
    return {
        name: preset
        for backbone in backbones
        if backbone.__name__ not in NOT_ONE_VECTOR
        for name, preset in backbone.presets.items()
    }


def describe(name: str, constructor: object) -> str:
    """Returns the row of one network."""
    module = importlib.import_module(constructor.__module__)
    side = constructor(weights=None).input_shape[1] or DEFAULT_SIDE
    min_side = SMALLEST_SIDE
    while not takes(constructor, min_side):
        min_side += 1
        if min_side > LARGEST_SIDE:
            raise ValueError(f"{name} takes no image.")
    network = build(constructor, side)
    pixels = read_scaling(module.preprocess_input).name
    return (
        f'"{name}": Known({side}, {min_side}, {network.output_shape[-1]}, '
        f'{network.count_params():_}, "{pixels}"),'
    )


def build(constructor: object, side: int) -> keras.Model:
    """Returns the network as a backbone, its weights not trained."""
    return constructor(
        include_top=False,
        weights=None,
        input_shape=(side, side, 3),
        pooling="avg",
    )


def takes(constructor: object, side: int) -> bool:
    """Tells whether a network can be built for images of a size."""
    try:
        build(constructor, side)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
