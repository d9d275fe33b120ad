"""Tests for `embed.backbones.applications` and `embed.backbones`."""

import importlib
import inspect

import keras
import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.scaling import read_scaling
from embed.errors import BackboneError

SIZE = (32, 32)
HANDLE = "keras:MobileNet?alpha=0.25"  # The quickest to build.
NETWORKS = sorted(
    name
    for name, value in vars(keras.applications).items()
    if inspect.isfunction(value)
)


def load(handle=HANDLE, weights="random", **fields):
    """Loads a backbone for small pictures."""
    fields = {"image_size": SIZE, **fields}
    return load_backbone(
        BackboneRequest(handle=handle, weights=weights, **fields)
    )


def draw_images(num_images=2, size=SIZE):
    """Returns noise in [0, 1]."""
    rng = np.random.default_rng(0)
    return rng.random((num_images, *size, 3), np.float32)


@pytest.fixture(name="backbone", scope="module")
def _backbone():
    """The smallest MobileNet with random weights of seed 0."""
    return load()


@pytest.mark.parametrize("name", NETWORKS)
def test_pixels_are_scaled_as_the_network_was_trained(name):
    """In front of every network stands its own `preprocess_input`.

    [-1, 1] for MobileNetV2, BGR less the mean colour for ResNet50, less mean
    and over deviation for DenseNet121, 0 to 255 for EfficientNetB0.
    """
    constructor = getattr(keras.applications, name)
    module = importlib.import_module(constructor.__module__)
    images, taken = draw_images(), keras.Input((*SIZE, 3))

    scaling = read_scaling(module.preprocess_input)

    expected = module.preprocess_input(255 * images)
    model = keras.Model(taken, scaling.scale_tensor(taken))
    np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(
        scaling.scale_array(images), expected, rtol=1e-5, atol=1e-3
    )
    np.testing.assert_allclose(scaling.undo(expected), images, atol=1e-5)


def test_scaled_pixels_reach_the_network(backbone):
    """The network of a loaded backbone sees what its scaling answers."""
    images = draw_images()
    network = backbone.model.layers[-1]

    features = backbone.model(images)

    expected = network(2 * images - 1)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_features_are_pooled_vectors(backbone):
    """One vector a picture; the sizes are known without running it."""
    features = np.asarray(backbone.model(draw_images(3)))

    assert features.shape == (3, 256)
    assert backbone.feature_dim == 256
    assert backbone.image_size == SIZE


def test_backbone_is_frozen(backbone):
    """Nothing in it is trained, its BatchNorm statistics included."""
    before = [np.array(weight) for weight in backbone.model.weights]

    backbone.model(draw_images(), training=False)

    assert backbone.model.trainable_variables == []
    for weight, expected in zip(backbone.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_options_reach_the_network(backbone):
    """`?alpha=0.5` is a wider network than `?alpha=0.25`."""
    wider = load("keras:MobileNet?alpha=0.5")

    assert wider.model.count_params() > backbone.model.count_params()
    assert wider.name == "keras:MobileNet?alpha=0.5"


def test_random_weights_are_seeded(backbone):
    """Seed 0 is a seed: the same twice, and not that of seed 1."""
    again, other = load(seed=0), load(seed=1)

    assert again.weights_digest == backbone.weights_digest
    assert other.weights_digest != backbone.weights_digest
    images = draw_images()
    np.testing.assert_array_equal(again.model(images), backbone.model(images))


def test_random_weights_tell_pictures_apart(backbone):
    """A fresh network answers below 1e-11; this one has real variance."""
    features = np.asarray(backbone.model(draw_images(8)))

    assert features.std(axis=0).max() > 1e-2
    assert np.abs(features).max() < 1e3


def test_random_weights_leave_the_generators_alone():
    """Whoever loads a backbone keeps the random numbers of their own."""
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)

    load()

    assert np.random.random() == expected


def test_unknown_network():
    """The message lists the networks there are."""
    with pytest.raises(
        BackboneError,
        match=r"'MobileNetV2', .*Give one with `--backbone keras:NAME`",
    ):
        load("keras:MobileNetV9")


@pytest.mark.parametrize("name", ["keras", "mobilenet", "__doc__", "a.b"])
def test_modules_are_no_networks(name):
    """What else is in `keras.applications` is not called."""
    with pytest.raises(BackboneError, match="Give one with `--backbone"):
        load(f"keras:{name}")


@pytest.mark.parametrize("option", ["beta=1", "weights=x", "include_top=1"])
def test_unknown_option(option):
    """The message lists the options that the network takes."""
    with pytest.raises(
        BackboneError,
        match=r"one of \['alpha', 'range'\]. Write `--backbone keras:",
    ):
        load(f"keras:MobileNetV2?{option}")


@pytest.mark.parametrize("value", ["wide", "", "(1,"])
def test_senseless_value_of_an_option(value):
    """A network's own complaint comes with what to try."""
    with pytest.raises(BackboneError, match="Try another `--image-size`"):
        load(f"keras:MobileNetV2?alpha={value}")


def test_images_that_are_too_small():
    """A size that the network refuses is named with another to try."""
    with pytest.raises(BackboneError, match="Try another `--image-size`"):
        load("keras:InceptionV3", image_size=(32, 32))


@pytest.mark.parametrize("handle", ["", "MobileNetV2", "torch:x", "keras:"])
def test_unknown_kind_of_backbone(handle):
    """The message lists the kinds there are."""
    with pytest.raises(BackboneError, match=r"`hub:DIR`.*`--backbone`"):
        load(handle)


def test_anchored_request_loads_from_any_folder(tmp_path, monkeypatch):
    """Paths become absolute; names stay what they are."""
    (tmp_path / "module").mkdir()
    (tmp_path / "w.h5").touch()
    monkeypatch.chdir(tmp_path)

    local = BackboneRequest(handle="hub:module", image_size=SIZE).anchored()
    weights = BackboneRequest(
        handle="keras:A", weights="w.h5", image_size=SIZE
    ).anchored()
    address = BackboneRequest(handle="hub:https://x/y", image_size=SIZE)

    assert local.handle == f"hub:{tmp_path / 'module'}"
    assert weights.weights == str(tmp_path / "w.h5")
    assert address.anchored() == address


def test_the_request_of_an_older_cache_is_read():
    """What was not asked for in its time is what it was by default."""
    kept = '{"handle":"keras:A","weights":"w","image_size":[8,8],"seed":3}'

    request = BackboneRequest.model_validate_json(kept)

    assert request == BackboneRequest(
        handle="keras:A", weights="w", image_size=(8, 8), seed=3
    )
    assert request.cut is None
