"""Tests for `head.view_model`."""

import keras
import pytest
import tensorflow as tf

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.sized import SizedBackbones
from embed.images import ImageDecoder
from head.view_model import ViewModel

DECODER = ImageDecoder((32, 32))


@pytest.fixture(name="backbones", scope="module")
def _backbones():
    """A small network, at 32 pixels and at any other size."""
    request = BackboneRequest(
        handle="keras:MobileNetV2?alpha=0.35",
        weights="random",
        image_size=(32, 32),
    )
    return SizedBackbones(request, load_backbone(request))


def test_sizes_share_one_set_of_weights(backbones):
    """A graph of two sizes reads the variables of the first one alone."""
    head = keras.Sequential([keras.Input((1280,)), keras.layers.Dense(3)])
    model = ViewModel(backbones, head, ["plain", "scale48"], DECODER)

    graph = tf.function(
        model.__call__, input_signature=[tf.TensorSpec((None,), tf.string)]
    ).get_concrete_function()

    shared = [*backbones.backbone.model.variables, *head.variables]
    assert {id(v) for v in graph.variables} == {id(v.value) for v in shared}


def test_all_calls_share_one_graph(backbones):
    """Out of one, the outputs of all layers would be in memory at once."""
    are_eager = []

    def head(features, *, training):
        assert not training
        are_eager.append(tf.executing_eagerly())
        return features

    model = ViewModel(backbones, head, ["plain", "scale48"], DECODER)
    picture = tf.io.encode_png(tf.zeros((40, 40, 3), tf.uint8)).numpy()

    answers = [model.answer([picture] * number) for number in (1, 3)]

    assert [answer.shape for answer in answers] == [(1, 2, 1280), (3, 2, 1280)]
    assert are_eager == [False, False]  # Of each view once.
