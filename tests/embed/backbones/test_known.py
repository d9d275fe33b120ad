"""What is known of networks without building them."""

import importlib
import inspect

import keras
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.known import APPLICATIONS
from embed.backbones.known import IMAGENET_AT_ONE_SIZE
from embed.backbones.scaling import read_scaling
from embed.errors import BackboneError


def test_every_network_of_keras_is_known():
    """A new version of Keras with new networks makes this fail."""
    networks = {
        name
        for name, value in vars(keras.applications).items()
        if inspect.isfunction(value)
    }

    assert set(APPLICATIONS) == networks


@pytest.mark.parametrize(
    "name", ["ConvNeXtTiny", "DenseNet121", "MobileNetV3Small", "ResNet50"]
)
def test_rows_are_true(name):
    """Features, parameters and pixels of a few, built anew."""
    known = APPLICATIONS[name]
    constructor = getattr(keras.applications, name)
    module = importlib.import_module(constructor.__module__)

    network = constructor(
        include_top=False,
        weights=None,
        input_shape=(known.side, known.side, 3),
        pooling="avg",
    )

    assert network.output_shape == (None, known.feature_dim)
    assert network.count_params() == known.num_parameters
    assert read_scaling(module.preprocess_input).name == known.pixels


def test_images_are_of_the_networks_own_size():
    """Where nobody names one it is that of the table, and kept."""
    request = BackboneRequest(
        handle="keras:MobileNet?alpha=0.25", weights="random"
    )

    backbone = load_backbone(request)

    assert backbone.image_size == (224, 224)
    assert request.pinned(backbone).image_size == (224, 224)


@pytest.mark.parametrize("name", ["InceptionV3", "Xception", "MobileNet"])
def test_the_smallest_images_are_taken_and_no_smaller(name):
    """One pixel less is refused, with the size to give."""
    side = APPLICATIONS[name].min_side

    with pytest.raises(BackboneError, match=f"{side} px or more.*--image-size"):
        load_backbone(
            BackboneRequest(
                handle=f"keras:{name}",
                weights="random",
                image_size=(side, side - 1),
            )
        )


@pytest.mark.parametrize("name", IMAGENET_AT_ONE_SIZE)
def test_weights_of_one_size_are_refused_at_another(name):
    """Before anything is built or fetched."""
    with pytest.raises(BackboneError, match=r"Run again with `--image-size"):
        load_backbone(
            BackboneRequest(handle=f"keras:{name}", image_size=(96, 96))
        )
