"""Tests for `embed.engines.layout`."""

import keras
import numpy as np
import pytest

from embed.backbones import Backbone

openvino = pytest.importorskip("openvino")
opset13 = pytest.importorskip("openvino.opset13")
edges = pytest.importorskip("embed.engines.edges")
layout = pytest.importorskip("embed.engines.layout")
openvino_engine = pytest.importorskip("embed.engines.openvino")

SHAPE = (4, 6, 5, 3)
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def read_model(layers):
    """Returns a backbone as Keras and as OpenVINO has it."""
    keras.utils.set_random_seed(0)
    images = keras.Input(SHAPE[1:])
    features = keras.layers.GlobalAveragePooling2D()(layers(images))
    backbone = Backbone("keras:L", keras.Model(images, features), "w" * 64)
    model = openvino_engine.read_model(openvino.Core(), backbone, SHAPE)
    return backbone.model, model


def kinds_until_convolution(model):
    """Returns what is done to images before the convolution."""
    (images,) = model.get_parameters()
    node, kinds = edges.only_user(images), []
    while node is not None and node.get_type_name() != "Convolution":
        kinds.append(node.get_type_name())
        node = edges.only_user(node)
    return kinds


def run(model):
    """Returns drawn pixels, and their features by OpenVINO."""
    pixels = np.random.default_rng(0).random(SHAPE, np.float32)
    compiled = openvino.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    (features,) = compiled([pixels]).values()
    return pixels, features


@pytest.mark.parametrize(
    ("scale", "offset", "moved"),
    [
        (2.0, -1.0, ["Multiply", "Add", "Transpose"]),
        (2.0, [-1.0, -1.0, -1.0], ["Multiply", "Add", "Transpose"]),
        (2.0, [-1.0, 0.0, 1.0], ["Multiply", "Transpose", "Add"]),
        ([1.0, 2.0, 3.0], -1.0, ["Transpose", "Multiply", "Add"]),
    ],
)
def test_pixels_are_scaled_before_they_are_transposed(scale, offset, moved):
    """By what is the same for all channels; other values keep their place."""
    reference, model = read_model(
        keras.Sequential(
            [
                keras.layers.Rescaling(scale, offset),
                keras.layers.Conv2D(4, 3),
            ]
        )
    )
    assert kinds_until_convolution(model) == ["Transpose", "Multiply", "Add"]

    layout.scale_before_transpose(model)

    assert kinds_until_convolution(model) == moved
    pixels, features = run(model)
    expected = np.asarray(reference(pixels))
    np.testing.assert_allclose(features, expected, **TOLERANCE)


def test_images_that_are_used_twice_stay():
    """A shortcut of pixels needs them as they are."""

    def layers(images):
        scaled = keras.layers.Rescaling(2.0, -1.0)(images)
        deep = keras.layers.Conv2D(3, 3, padding="same")(scaled)
        return keras.layers.Add()([deep, images])

    reference, model = read_model(layers)

    layout.scale_before_transpose(model)

    pixels, features = run(model)
    expected = np.asarray(reference(pixels))
    np.testing.assert_allclose(features, expected, **TOLERANCE)


def test_pixels_that_are_not_scaled_stay():
    """There is nothing to move."""
    reference, model = read_model(keras.layers.Conv2D(4, 3))

    layout.scale_before_transpose(model)

    assert kinds_until_convolution(model) == ["Transpose"]
    pixels, features = run(model)
    expected = np.asarray(reference(pixels))
    np.testing.assert_allclose(features, expected, **TOLERANCE)


def test_a_constant_that_makes_more_of_the_pixels_stays():
    """All its values are the same, but it is no scale."""
    images = opset13.parameter(SHAPE, np.float32)
    turned = opset13.transpose(images, np.array([0, 3, 1, 2]))
    copies = opset13.multiply(turned, np.full((2, 1, 1, 1, 1), 3, np.float32))
    features = opset13.reduce_mean(copies, np.array([0, 3, 4]))
    model = openvino.Model([features], [images])

    assert layout.scale_before_transpose(model) == images.output(0)

    pixels, features = run(model)
    np.testing.assert_allclose(features, 3 * pixels.mean((1, 2)), **TOLERANCE)
