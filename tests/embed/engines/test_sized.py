"""Tests for `embed.engines.sized`."""

import types

import numpy as np
import pytest

from embed.engines.sized import SizedEngines
from embed.engines.sized import share_pixels
from tests.stub_engine import StubEngine


def create_stub(side, value, batch_size):
    """Returns an engine of an input size that answers a value."""
    backbone = types.SimpleNamespace(image_size=(side, side), feature_dim=1)
    return StubEngine(
        backbone,
        lambda images: np.full((len(images), 1), value, np.float32),
        batch_size=batch_size,
        num_streams=value,
    )


def test_images_run_on_the_engine_of_their_size():
    """The first one says how many come at a time, and in how many streams."""
    engines = SizedEngines([create_stub(8, 1, 4), create_stub(12, 2, 3)])

    small, large = (
        engines.embed_views(np.zeros((4, side, side, 3), np.float32), [False])
        for side in (8, 12)
    )

    assert small.tolist() == 4 * [[[1.0]]]
    assert large.tolist() == 4 * [[[2.0]]]
    views = engines.embed_views(
        np.zeros((4, 12, 12, 3), np.float32), [True, False]
    )

    assert views.tolist() == 4 * [[[2.0], [2.0]]]
    assert not engines.runs_ahead
    assert engines.name == "stub"
    assert (engines.batch_size, engines.num_streams) == (4, 1)


@pytest.mark.parametrize(
    ("batch_size", "side", "shared"),
    [(1, 288, 1), (5, 288, 3), (128, 288, 64), (37, 672, 4), (4, 112, 4)],
)
def test_larger_images_come_in_smaller_batches(batch_size, side, shared):
    """Of about as many pixels, and the last batch is nearly full."""
    assert share_pixels(batch_size, (224, 224), (side, side)) == shared
