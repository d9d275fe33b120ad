"""Tests for `embed.building.start`."""

import dataclasses

import keras
import numpy as np
import pytest

from embed.backbones import Backbone
from embed.building.start import start_engine
from embed.console import Console
from embed.errors import EngineError


class Moody(keras.layers.Layer):
    """The means of the colours, until it refuses to be converted."""

    refuses = False

    def call(self, images):
        """Returns `(batch, 3)`."""
        if self.refuses:
            raise NotImplementedError("No operation\n  Moody.")
        return keras.ops.mean(images, (1, 2))


class Backbones:
    """A backbone at two sizes, of which the larger refuses."""

    def __init__(self):
        self._of_size = {}
        for side, refuses in ((8, False), (12, True)):
            images, layer = keras.Input((side, side, 3)), Moody()
            model = keras.Model(images, layer(images))
            layer.refuses = refuses
            self._of_size[side, side] = Backbone("keras:Moody", model, "")
        self.backbone = self.at((8, 8))

    def at(self, image_size):
        """Returns the backbone at a size."""
        return self._of_size[image_size]


def test_an_engine_that_fails_at_a_further_size_is_an_error(tiny_request):
    """Whatever the converter raised: the line names the size and the engine."""
    rng = np.random.default_rng(0)
    images = {
        (side, side): rng.random((4, side, side, 3), np.float32)
        for side in (8, 12)
    }

    with pytest.raises(
        EngineError,
        match=r"The engine tensorflow cannot run keras:Moody at 12 x 12 "
        r"pixels, as the view scale12 has them. Received: .*No operation "
        r"Moody.* Run again with another `--engine`, or without scale12 in "
        r"`--views`",
    ):
        start_engine(
            dataclasses.replace(tiny_request, engine="tensorflow"),
            Backbones(),
            images,
            num_views=8,
            earlier="",
            console=Console(is_quiet=True),
        )
