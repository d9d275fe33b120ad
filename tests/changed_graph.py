"""Networks whose graph in OpenVINO was changed: the features stay the same."""

import keras
import numpy as np
import pytest

from embed.backbones import Backbone

openvino = pytest.importorskip("openvino")
openvino_engine = pytest.importorskip("embed.engines.openvino")


def run_changed(layers, change, *, batch_size, side):
    """Runs a batch, and compares what it answers with Keras.

    Takes what makes activations of images, and what changes OpenVINO's model
    in place. Returns how many images each of its convolutions saw.
    """
    keras.utils.set_random_seed(0)
    images = keras.Input((side, side, 3))
    features = keras.layers.GlobalAveragePooling2D()(layers(images))
    backbone = Backbone("keras:L", keras.Model(images, features), "w" * 64)
    core, shape = openvino.Core(), (batch_size, side, side, 3)
    model = openvino_engine.read_model(core, backbone, shape)

    change(model)

    compiled = core.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    pixels = np.random.default_rng(0).random(shape, np.float32)
    (answer,) = compiled([pixels]).values()
    expected = np.asarray(backbone.model(pixels, training=False))
    assert expected.std(0).max() > 1e-4
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-6)
    return [
        node.input_value(0).get_shape()[0]
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Convolution"
    ]
