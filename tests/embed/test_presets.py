"""Tests for `embed.presets`."""

import typing

import pytest

from embed.presets import PRESETS
from embed.presets import PresetName
from embed.views import parse_views


def test_every_name_is_a_preset():
    """What `--preset` accepts is what there is."""
    assert set(typing.get_args(PresetName)) == set(PRESETS)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_name_views_that_exist(preset):
    """A preset says what its options would accept."""
    assert parse_views(preset.views)[0] == "plain"


def test_pets_is_the_reference():
    """224 pixels, both views, MobileNetV2 1.4 from TF Hub."""
    pets = PRESETS["pets"]

    assert pets.dataset == "tfds:oxford_iiit_pet"
    assert pets.backbone.endswith("/mobilenet_v2_140_224/feature_vector/4")
    assert (pets.image_size, pets.views) == (224, "flip")


def test_digits_are_not_mirrored():
    """A mirrored digit is another sign."""
    assert PRESETS["digits"].views == "plain"
