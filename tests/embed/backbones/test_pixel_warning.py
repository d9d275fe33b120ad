"""When the pixels of a backbone are looked at, and when that is spared."""

import dataclasses

import keras
import pytest

from embed.backbones import BackboneRequest
from embed.backbones.backbone import Backbone
from embed.backbones.layer_statistics import is_read_by_layers
from embed.backbones.pixel_warning import warn_of_pixels
from embed.backbones.scaling import COMMON
from embed.building.request import BuildRequest
from embed.console import Console
from embed.extract import build_cache
from tests.embed.backbones.test_probe import SIZE
from tests.embed.backbones.test_probe import load
from tests.embed.backbones.test_probe import trained_on

MODULE = (
    "hub:https://tfhub.dev/google/imagenet/mobilenet_v2_140_224/"
    "feature_vector/4"
)


@pytest.fixture(name="wrong", scope="module")
def _wrong():
    """A network trained on [-1, 1] that is given [0, 1]."""
    model = trained_on("-1,1")
    return Backbone("tiny", model, "", COMMON["0,1"])


@pytest.mark.parametrize(
    ("handle", "weights", "is_looked_at"),
    [
        ("keras:MobileNet", "imagenet", False),
        ("keras:MobileNet", "random", False),
        ("keras:MobileNet", "mine.weights.h5", True),
        ("keras:MobileNet?range=0,1", "imagenet", True),
        ("kerashub:vit_base_patch16_224_imagenet", "imagenet", False),
        ("kerashub:resnet_50_imagenet?range=0,1", "imagenet", True),
        (MODULE, "imagenet", False),
        ("hub:https://example.com/other", "imagenet", True),
        ("model:mine.keras", "imagenet", True),
    ],
)
def test_known_pixels_are_not_looked_at(wrong, handle, weights, is_looked_at):
    """Where the maker of weights says what they take, nothing is run."""
    request = BackboneRequest(handle=handle, weights=weights)

    assert bool(warn_of_pixels(request, wrong)) == is_looked_at


def test_a_known_module_with_other_pixels_is_looked_at(wrong):
    """A `?range=` that the module was not made for is judged."""
    images, scaling = keras.Input((*SIZE, 3)), COMMON["0,255"]
    model = keras.Model(images, wrong.model(scaling.scale_tensor(images)))
    given = Backbone("tiny", model, "", scaling)
    request = BackboneRequest(handle=f"{MODULE}?range=0,255")

    assert f"'{MODULE}?range=-1,1'" in warn_of_pixels(request, given)


def test_layers_are_read_where_there_are_some(tiny_module_dir):
    """No graph is made of a network with layers; a module has none."""
    images = keras.Input((*SIZE, 3))
    tokens = keras.layers.Conv2D(4, 8, strides=8)(images)
    transformer = keras.Model(images, keras.layers.LayerNormalization()(tokens))

    assert is_read_by_layers(transformer)
    assert is_read_by_layers(trained_on("-1,1"))
    assert not is_read_by_layers(load(f"hub:{tiny_module_dir}").model)


def test_a_build_that_computes_nothing_warns_of_nothing(
    tiny_request, tmp_path, capsys
):
    """One that computes says it once, before the pass."""
    trained_on("-1,1").save(tmp_path / "mine.keras")
    request = BuildRequest(
        source=tiny_request.source,
        backbone=BackboneRequest(
            handle=f"model:{tmp_path / 'mine.keras'}?range=0,1"
        ),
        views=("plain", "flip"),
    )

    def build(*views, cache_path=None):
        result = build_cache(
            dataclasses.replace(request, views=views),
            artifacts_dir=tmp_path / "artifacts",
            cache_path=cache_path,
            console=Console(),
        )
        said = capsys.readouterr().err
        return result.num_computed > 0, said.count("Warning: ")

    assert build("plain", "flip") == (True, 1)
    assert build("plain", "flip") == (False, 0)
    assert build("plain", cache_path=tmp_path / "artifacts/caches/one.h5") == (
        False,
        0,
    )
