"""Tests for `embed.backbones.sized`."""

import re

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.sized import SizedBackbones
from embed.errors import BackboneError
from embed.views import ViewError
from tests.any_size_module import save_any_size_module

SMALL, LARGE = (32, 32), (48, 48)


def refuse(*_, **__):
    """Stands for a fetch that must not be."""
    raise AssertionError("Something was fetched.")


def load(handle, image_size=SMALL, **options):
    """Loads a backbone, to be had at other sizes too."""
    request = BackboneRequest(handle=handle, image_size=image_size, **options)
    return SizedBackbones(request, load_backbone(request))


def test_a_backbone_runs_at_other_sizes(tmp_path):
    """As the one that is loaded at that size; its own size is no new one."""
    save_any_size_module(tmp_path / "module")
    sized = load(f"hub:{tmp_path / 'module'}")
    images = np.random.default_rng(0).random((2, *LARGE, 3), np.float32)
    alone = load(f"hub:{tmp_path / 'module'}", LARGE)

    larger = sized.at(LARGE)

    assert sized.at(SMALL) is sized.backbone
    assert sized.at(LARGE) is larger
    assert larger.image_size == LARGE
    assert larger.weights_digest == sized.backbone.weights_digest
    np.testing.assert_array_equal(
        larger.embed(images), alone.backbone.embed(images)
    )


def test_random_weights_are_those_of_the_cache():
    """Their statistics depend on the size: the first ones hold for all."""
    sized = load("keras:MobileNetV2?alpha=0.35", weights="random")

    larger = sized.at(LARGE)

    assert larger.weights_digest == sized.backbone.weights_digest
    for own, of_first in zip(
        larger.model.get_weights(),
        sized.backbone.model.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(own, of_first)


def test_no_weights_are_fetched_for_another_size(monkeypatch):
    """Keras has ImageNet's for some sizes of this network apart."""
    handle = "keras:MobileNetV2?alpha=0.35"
    of_random = load(handle, weights="random").backbone
    request = BackboneRequest(handle=handle, image_size=SMALL)
    monkeypatch.setattr(file_utils, "get_file", refuse)

    larger = SizedBackbones(request, of_random).at(LARGE)

    assert larger.image_size == LARGE
    for own, of_first in zip(
        larger.model.get_weights(), of_random.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(own, of_first)


def test_a_network_that_is_another_without_its_weights(monkeypatch, tmp_path):
    """EfficientNet scales its pixels once more for ImageNet's weights."""
    path = tmp_path / "drawn.weights.h5"
    keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(*SMALL, 3)
    ).save_weights(path)
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: path)
    images = np.random.default_rng(0).random((2, *LARGE, 3), np.float32)
    alone = load("keras:EfficientNetB0", LARGE).backbone

    larger = load("keras:EfficientNetB0").at(LARGE)

    np.testing.assert_array_equal(larger.embed(images), alone.embed(images))


def test_why_another_size_cannot_be_had_is_said():
    """The line that the backbone itself refuses with is in it."""
    sized = load("keras:MobileNetV2?alpha=0.35", weights="random")

    with pytest.raises(
        BackboneError, match=r"Received: The images are too small .*32 px"
    ):
        sized.at((16, 16))


def test_a_backbone_of_one_size_refuses_others(tiny_backbone, tiny_request):
    """In one line, which says the size that it takes."""
    sized = SizedBackbones(tiny_request.backbone, tiny_backbone)
    sized.require(["plain", "flip", "center", "top-left+flip"])

    with pytest.raises(
        BackboneError,
        match=r"cannot be had for images of 12 x 12 pixels, as the view "
        r"scale12 has them. Expected: 8 x 8, or .* Received: .*12.* Leave out "
        r"scale12",
    ):
        sized.require(["plain", "scale12+flip"])


@pytest.mark.parametrize("name", ["scale8", "scale8+flip"])
def test_the_input_size_is_no_other_view(tiny_backbone, tiny_request, name):
    """The same column twice would be drawn twice as often."""
    sized = SizedBackbones(tiny_request.backbone, tiny_backbone)

    with pytest.raises(ViewError, match=f"Leave out {re.escape(name)}, or run"):
        sized.require(["plain", name])
