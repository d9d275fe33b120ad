"""Presets of KerasHub, from folders that a test has written."""

import shutil
import sys

import keras
import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.errors import BackboneError

SIZE = (32, 32)


def load(place, **fields):
    """Loads `kerashub:PLACE`."""
    return load_backbone(BackboneRequest(handle=f"kerashub:{place}", **fields))


@pytest.fixture(name="keras_hub", scope="module")
def _keras_hub():
    return pytest.importorskip("keras_hub")


@pytest.fixture(name="images")
def _images():
    return np.random.default_rng(0).random((3, *SIZE, 3), np.float32)


@pytest.fixture(name="network", scope="module")
def _network(keras_hub):
    """The smallest residual network that KerasHub builds."""
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
    )


@pytest.fixture(name="preset", scope="module")
def _preset(keras_hub, network, tmp_path_factory):
    """Its preset: pixels of 0 to 255, scaled and shifted by channel."""
    folder = tmp_path_factory.mktemp("presets") / "resnet"
    network.save_to_preset(str(folder))
    keras_hub.layers.ResNetImageConverter(
        image_size=SIZE, scale=[0.01, 0.02, 0.03], offset=[-1.0, -2.0, -3.0]
    ).save_to_preset(str(folder))
    return folder


def test_a_preset_brings_its_own_scaling(preset, network, images):
    """Pixels and input size are those of its image converter."""
    backbone = load(preset)

    pixels = 255 * images * [0.01, 0.02, 0.03] - [1.0, 2.0, 3.0]
    expected = np.asarray(network(pixels.astype(np.float32))).mean((1, 2))
    assert (backbone.image_size, backbone.feature_dim) == (SIZE, 64)
    np.testing.assert_allclose(backbone.embed(images), expected, rtol=1e-3)


def test_the_place_of_a_preset_changes_nothing(preset, tmp_path):
    """Nor does the time at which it was saved; its weights do."""
    other = shutil.copytree(preset, tmp_path / "other")
    (other / "metadata.json").write_text("{}")

    one, two = load(preset), load(other)

    assert one.name == two.name == "kerashub:local"
    assert one.weights_digest == two.weights_digest
    (other / "config.json").write_text(
        (other / "config.json").read_text() + " "
    )
    assert load(other).weights_digest != one.weights_digest


def test_a_named_preset_is_more_than_its_weights(
    keras_hub, preset, network, tmp_path, monkeypatch
):
    """Its network and its pixels too: the name stays when they change."""
    from keras_hub.src.utils import preset_utils

    def digest_of(folder):
        preset = {"kaggle_handle": str(folder)}
        monkeypatch.setitem(preset_utils.BUILTIN_PRESETS, "mine", preset)
        return load("mine").weights_digest

    other_pixels = shutil.copytree(preset, tmp_path / "pixels")
    keras_hub.layers.ResNetImageConverter(
        image_size=SIZE, scale=0.01
    ).save_to_preset(str(other_pixels))
    other_network = shutil.copytree(preset, tmp_path / "network")
    text = (other_network / "config.json").read_text()
    changed = text.replace(
        '"use_pre_activation": false', '"use_pre_activation": true'
    )
    assert changed != text
    (other_network / "config.json").write_text(changed)

    digests = [digest_of(p) for p in (preset, other_pixels, other_network)]

    assert digest_of(preset) == digests[0]
    assert len(set(digests)) == len(digests)


def test_a_transformer_is_its_class_token(keras_hub, images, tmp_path):
    """As in its classifier; another image size is refused."""
    network = keras_hub.models.ViTBackbone(
        image_shape=(*SIZE, 3),
        patch_size=16,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=8,
    )
    network.save_to_preset(str(tmp_path))
    keras_hub.layers.ViTImageConverter(scale=1 / 255).save_to_preset(
        str(tmp_path)
    )

    backbone = load(tmp_path)

    expected = np.asarray(network(images))[:, 0]
    np.testing.assert_allclose(backbone.embed(images), expected, atol=1e-5)
    with pytest.raises(BackboneError, match=r"\(32, 32\).*--image-size"):
        load(tmp_path, image_size=(48, 48))


def test_a_backbone_of_named_input_is_given_images(keras_hub, images, tmp_path):
    """DINOv2 takes `{"images": ...}`."""
    network = keras_hub.models.DINOV2Backbone(
        patch_size=16,
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=8,
        image_shape=(*SIZE, 3),
    )
    network.save_to_preset(str(tmp_path))

    backbone = load(f"{tmp_path}?range=0,1")
    expected = np.asarray(network({"images": images}))[:, 0]

    np.testing.assert_allclose(backbone.embed(images), expected, atol=1e-5)


def test_a_preset_without_converter_needs_a_range(
    preset, network, images, tmp_path
):
    """The message says how to write one; with it, it is loaded."""
    folder = shutil.copytree(preset, tmp_path / "bare")
    (folder / "image_converter.json").unlink()

    with pytest.raises(BackboneError, match=r"bare\?range=0,1`"):
        load(folder)
    features = load(f"{folder}?range=-1,1", image_size=SIZE).embed(images)

    expected = np.asarray(network(2 * images - 1)).mean((1, 2))
    np.testing.assert_allclose(features, expected, rtol=1e-3)


def test_a_model_of_a_preset_is_read_without_us(preset, images, tmp_path):
    """A `.keras` file names KerasHub's classes, which Keras imports."""
    backbone = load(preset)
    backbone.model.save(tmp_path / "model.keras")

    again = keras.models.load_model(tmp_path / "model.keras")

    expected = backbone.model.predict_on_batch(images)
    np.testing.assert_array_equal(again.predict_on_batch(images), expected)


@pytest.mark.usefixtures("keras_hub")
@pytest.mark.parametrize("place", ["no_such_preset", "./no/such/folder"])
def test_an_unknown_preset_is_refused(place):
    """The message says where names are listed, and the ways out."""
    with pytest.raises(BackboneError, match="--kind kerashub") as caught:
        load(place)

    assert "--preset digits" in str(caught.value)


def test_a_preset_of_texts_is_refused(keras_hub, tmp_path):
    """A backbone that takes no images is told from one that does."""
    keras_hub.models.BertBackbone(
        vocabulary_size=10,
        num_layers=1,
        num_heads=1,
        hidden_dim=2,
        intermediate_dim=2,
        max_sequence_length=4,
    ).save_to_preset(str(tmp_path))

    with pytest.raises(BackboneError, match="not one of an image backbone"):
        load(tmp_path)


def test_a_missing_package_is_named(monkeypatch):
    """The message holds the command that installs it."""
    monkeypatch.setitem(sys.modules, "keras_hub", None)

    with pytest.raises(BackboneError, match=r"headstart\[kerashub\]"):
        load("resnet_50_imagenet")
