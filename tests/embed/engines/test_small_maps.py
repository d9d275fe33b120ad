"""Tests for `embed.engines.small_maps`."""

import keras
import numpy as np
import pytest

from embed.backbones import Backbone
from tests.changed_graph import run_changed

openvino_engine = pytest.importorskip("embed.engines.openvino")
small_maps = pytest.importorskip("embed.engines.small_maps")

SIDE, BATCH_SIZE = 14, 3
SMALL = 7  # Side of the maps behind `reduce`.


def run(layers, side=SIDE):
    """Runs a batch; says how many images its 1x1 convolutions saw."""
    return run_changed(
        layers, small_maps.join_small_maps, batch_size=BATCH_SIZE, side=side
    )


def reduce(images):
    """Returns small maps, as a depthwise convolution leaves them."""
    return keras.layers.DepthwiseConv2D(3, 2, padding="same")(images)


def normalize(images):
    """Returns normalised activations, by statistics that are not trivial."""
    layer = keras.layers.BatchNormalization(
        moving_mean_initializer=keras.initializers.RandomNormal(0.0, 0.1),
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2.0),
    )
    return layer(images)


def test_maps_between_depthwise_convolutions_are_joined():
    """With offset, ReLU and the shortcut; others see the batch."""

    def layers(images):
        images = keras.layers.Conv2D(8, 3, padding="same")(images)
        images = keras.layers.ReLU(6.0)(normalize(reduce(images)))
        shortcut = normalize(keras.layers.Conv2D(4, 1)(images))
        images = keras.layers.Conv2D(8, 1)(shortcut)
        images = keras.layers.ReLU(6.0)(normalize(images))
        images = keras.layers.DepthwiseConv2D(3, padding="same")(images)
        images = keras.layers.ReLU(6.0)(images)
        images = normalize(keras.layers.Conv2D(4, 1)(images))
        images = keras.layers.Add()([images, shortcut])
        return keras.layers.ReLU()(keras.layers.Conv2D(6, 1)(images))

    assert run(layers) == [BATCH_SIZE, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("side", "num_images"), [(SIDE, 1), (22, 1), (24, BATCH_SIZE)]
)
def test_large_maps_stay_as_they_are(side, num_images):
    """Those of 11 x 11 are small; of 12 x 12 little would be gained."""

    def layers(images):
        return keras.layers.Conv2D(4, 1)(reduce(images))

    assert run(layers, side) == [num_images]


@pytest.mark.parametrize(
    "follow",
    [
        keras.layers.Conv2D(4, 3),
        keras.layers.Activation("sigmoid"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(4, 1, 2),
        keras.layers.ZeroPadding2D(1),
        keras.layers.Rescaling(np.linspace(1, 2, SMALL)[:, None, None]),
    ],
    ids=["3x3", "sigmoid", "pooling", "strides", "padding", "by row"],
)
def test_nothing_is_joined_before_another_layer(follow):
    """Pixels would be moved there and back, or belong to one image."""

    def layers(images):
        images = keras.layers.Conv2D(4, 1)(reduce(images))
        return follow(keras.layers.ReLU()(images))

    assert set(run(layers)) == {BATCH_SIZE}


def test_nothing_is_joined_behind_another_layer():
    """Of a network that is not depthwise, as ResNet."""

    def layers(images):
        images = keras.layers.Conv2D(4, 3, 2, padding="same")(images)
        return keras.layers.Conv2D(4, 1)(keras.layers.ReLU()(images))

    assert run(layers) == [BATCH_SIZE, BATCH_SIZE]


def test_squeezed_and_excited_maps_stay_as_they_are():
    """What one image is scaled by differs from image to image."""

    def layers(images):
        images = reduce(keras.layers.Conv2D(4, 3, padding="same")(images))
        weights = keras.layers.GlobalAveragePooling2D(keepdims=True)(images)
        weights = keras.layers.Conv2D(4, 1, activation="sigmoid")(weights)
        images = keras.layers.Multiply()([images, weights])
        return keras.layers.Conv2D(4, 1)(images)

    assert set(run(layers)) == {BATCH_SIZE}


def test_bfloat16_alone_joins_small_maps(monkeypatch):
    """There a matrix unit computes."""
    seen = []
    monkeypatch.setattr(openvino_engine, "join_small_maps", seen.append)
    images = keras.Input((SIDE, SIDE, 3))
    features = keras.layers.GlobalAveragePooling2D()(images)
    backbone = Backbone("keras:L", keras.Model(images, features), "w" * 64)

    for precision in ("float32", "bfloat16"):
        openvino_engine.OpenVINOEngine(backbone, None, precision)

    assert len(seen) == 1
