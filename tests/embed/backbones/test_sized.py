"""Tests for `embed.backbones.sized`."""

import re

import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.sized import SizedBackbones
from embed.errors import BackboneError
from embed.views import ViewError
from tests.any_size_module import save_any_size_module

SMALL, LARGE = (32, 32), (48, 48)


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


def test_a_backbone_of_one_size_refuses_others(tiny_backbone, tiny_request):
    """In one line, which says the size that it takes."""
    sized = SizedBackbones(tiny_request.backbone, tiny_backbone)
    sized.require(["plain", "flip", "center", "top-left+flip"])

    with pytest.raises(
        BackboneError,
        match=r"does not take images of 12 x 12 pixels, as the view scale12 "
        r"has them. Expected: 8 x 8, or .*Leave out scale12",
    ):
        sized.require(["plain", "scale12+flip"])


@pytest.mark.parametrize("name", ["scale8", "scale8+flip"])
def test_the_input_size_is_no_other_view(tiny_backbone, tiny_request, name):
    """The same column twice would be drawn twice as often."""
    sized = SizedBackbones(tiny_request.backbone, tiny_backbone)

    with pytest.raises(ViewError, match=f"Leave out {re.escape(name)}, or run"):
        sized.require(["plain", name])
