"""Tests for `embed.engines.microbatch`."""

import collections

import keras
import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.engines import create_engine
from tests.changed_graph import run_changed

openvino = pytest.importorskip("openvino")
opset13 = pytest.importorskip("openvino.opset13")
microbatch = pytest.importorskip("embed.engines.microbatch")

BATCH_SIZE = 8
FLOAT32 = 4  # Bytes.
SIDE, CHANNELS = 16, 4
BYTES_AN_IMAGE = FLOAT32 * CHANNELS * SIDE**2  # Of the activation of `wide`.


@pytest.fixture(name="run")
def _run(monkeypatch):
    """Runs a batch; says how many images its convolutions saw at a time."""

    def run(layers, num_fitting):
        monkeypatch.setattr(
            microbatch, "MOST_BYTES", num_fitting * BYTES_AN_IMAGE
        )

        def change(model):
            (entry,) = model.get_parameters()
            microbatch.use_microbatches(model, entry.output(0), FLOAT32)

        return collections.Counter(
            run_changed(layers, change, batch_size=BATCH_SIZE, side=SIDE)
        )

    return run


def wide():
    """Returns a convolution with a large activation."""
    return keras.layers.Conv2D(CHANNELS, 3, padding="same", activation="relu")


def narrow():
    """Returns a convolution with an eighth of that."""
    return keras.layers.Conv2D(2, 3, 2, padding="same", activation="relu")


@pytest.mark.parametrize(
    ("num_fitting", "seen"),
    [
        (8, {8: 4}),
        (4, {4: 3 * 2, 8: 1}),
        (3, {2: 3, 3: 3 * 2, 8: 1}),
        (1, {1: 3 * 8, 8: 1}),
    ],
)
def test_wide_layers_see_as_many_images_as_fit(run, num_fitting, seen):
    """Others see the batch, from the first whose input is not wide either."""
    layers = keras.Sequential([wide(), wide(), narrow(), narrow()])

    assert run(layers, num_fitting) == seen


def test_what_is_wide_up_to_its_end_stays_as_it_is(run):
    """There would be nothing left to run together."""
    assert run(keras.Sequential([wide(), wide()]), 3) == {8: 2}


def test_what_becomes_wide_again_is_cut_behind_it(run):
    """Narrow layers in between are no end."""
    layers = keras.Sequential(
        [
            wide(),
            narrow(),
            keras.layers.Conv2D(2, 1),
            keras.layers.ZeroPadding2D(4),
            wide(),
            narrow(),
        ]
    )

    assert run(layers, 2) == {8: 5}
    layers.add(narrow())
    assert run(layers, 2) == {2: 5 * 4, 8: 1}


def test_a_shortcut_across_the_cut_prevents_it(run):
    """More than one activation would have to be joined."""

    def layers(images):
        activation = wide()(images)
        shortcut = keras.layers.MaxPooling2D(4)(activation)
        deep = narrow()(narrow()(activation))
        return keras.layers.Concatenate()([deep, shortcut])

    assert run(layers, 3) == {8: 3}


def test_a_batch_that_is_written_into_the_model_stays(run):
    """Keras writes it into a reshape where it knows it."""
    layers = keras.Sequential(
        [
            wide(),
            keras.layers.Reshape((SIDE // 2, SIDE * 2, CHANNELS)),
            narrow(),
            narrow(),
        ]
    )

    assert run(layers, 3) == {8: 3}


@pytest.mark.parametrize("batch_size", [7, 8])
def test_a_batch_that_is_not_in_front_stays(monkeypatch, batch_size):
    """Parts, of one size or not, cannot be joined by the first axis."""
    shape = (batch_size, SIDE, SIDE, 3)
    monkeypatch.setattr(microbatch, "MOST_BYTES", FLOAT32 * 4 * SIDE**2 * 3)
    images = opset13.parameter(shape, np.float32)
    rows = opset13.reduce_mean(images, np.array([2]))
    rows = opset13.transpose(rows, np.array([1, 0, 2]))
    weights = np.ones((3, 2), np.float32)
    product = opset13.matmul(rows, weights, False, False)
    features = opset13.reduce_mean(product, np.array([0]))
    model = openvino.Model([features], [images])

    microbatch.use_microbatches(model, images.output(0), FLOAT32)

    assert microbatch._find_cut(model, 4 * SIDE**2 * 3)[0] is not None
    pixels = np.random.default_rng(0).random(shape, np.float32)
    (answer,) = openvino.compile_model(model, "CPU")(pixels).values()
    expected = pixels.mean((1, 2)) @ weights
    np.testing.assert_allclose(answer, expected, rtol=1e-2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_features_are_the_same_to_the_bit(monkeypatch, precision):
    """A real network, and a batch that is no multiple of its parts."""
    backbone = load_backbone(
        BackboneRequest(
            handle="keras:MobileNetV2?alpha=0.35",
            weights="random",
            image_size=(96, 96),
        )
    )
    images = np.random.default_rng(0).random((7, 96, 96, 3), np.float32)
    whole = create_engine("openvino", backbone, precision, 5)(images)
    monkeypatch.setattr(microbatch, "MOST_BYTES", 400_000)
    cuts = []
    find_cut = microbatch._find_cut
    monkeypatch.setattr(
        microbatch,
        "_find_cut",
        lambda *words: cuts.append(find_cut(*words)) or cuts[-1],
    )

    features = create_engine("openvino", backbone, precision, 5)(images)

    ((cut, _),) = cuts
    assert cut is not None
    np.testing.assert_array_equal(features, whole)
