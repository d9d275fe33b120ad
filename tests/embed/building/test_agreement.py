"""Tests for `embed.building.agreement`."""

import dataclasses

import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.building.agreement import TOLERANCES
from embed.building.agreement import check_engine
from embed.building.agreement import compare
from embed.engines import Engine
from embed.errors import BackboneError
from embed.errors import EngineError


@pytest.fixture(name="backbone", scope="module")
def _backbone(tiny_module_dir):
    return load_backbone(
        BackboneRequest(handle=f"hub:{tiny_module_dir}", image_size=(8, 8))
    )


class ShiftedEngine(Engine):
    """Answers the backbone's features and a little more."""

    def __init__(self, backbone, shift):
        super().__init__(backbone, 4)
        self._backbone, self._shift = backbone, shift

    def _run(self, images):
        return np.asarray(self._backbone.model(images)) + self._shift


@pytest.fixture(name="images")
def _images():
    return np.random.default_rng(0).random((4, 8, 8, 3), np.float32)


def test_right_engine_passes(backbone, images):
    """What differs by less than 1e-4 of the scale is the same."""
    check_engine(ShiftedEngine(backbone, 1e-5), backbone, images, "float32")


@pytest.mark.parametrize("shift", [0.01, -0.01, np.nan])
def test_wrong_engine_is_refused(backbone, images, shift):
    """A hundredth too much, or no number at all, and what to use instead."""
    engine = ShiftedEngine(backbone, shift)

    with pytest.raises(EngineError, match="--engine tensorflow"):
        check_engine(engine, backbone, images, "float32")


def rescale(backbone, scale, offset=0.0):
    """Returns the backbone with other features."""
    import keras

    layer = keras.layers.Rescaling(scale, offset)
    model = keras.Sequential([backbone.model, layer])
    return dataclasses.replace(backbone, model=model)


def test_constant_features_are_refused(backbone, images):
    """On features that are all alike every comparison would pass."""
    constant = rescale(backbone, 0.0, offset=3.0)

    with pytest.raises(BackboneError, match="give others with `--weights`"):
        check_engine(ShiftedEngine(constant, 0), constant, images, "float32")


@pytest.mark.parametrize("scale", [0.0, 1e-9, np.nan])
def test_features_without_a_scale_are_refused(backbone, images, scale):
    """A fresh network answers features below 1e-11: that is no backbone."""
    silent = rescale(backbone, scale)

    with pytest.raises(BackboneError, match="give others with `--weights`"):
        check_engine(ShiftedEngine(silent, 0), silent, images, "float32")


@pytest.mark.parametrize("shift", [0.02, -0.02])
def test_half_precision_may_differ_more(backbone, images, shift):
    """What bfloat16 rounds away is no fault of the engine."""
    engine = ShiftedEngine(backbone, shift)

    check_engine(engine, backbone, images, "bfloat16")


def test_equal_pictures_need_no_variance(backbone, images):
    """Eight copies of one picture must have equal features."""
    same = np.repeat(images[:1], 4, axis=0)

    check_engine(ShiftedEngine(backbone, 0), backbone, same, "float32")


def test_differences_are_shares_of_the_largest_feature():
    """In float32 each vector's worst feature, of the scale of them all."""
    expected = np.array([[1.0, -4.0], [0.0, 2.0]])
    features = expected + np.array([[0.0, 0.2], [-0.4, 0.0]])

    differences = compare(features, expected, "float32")

    np.testing.assert_allclose(differences, [0.05, 0.1])


def test_differences_in_half_precision_are_of_each_vector():
    """In bfloat16 the vector as a whole, by its root mean square."""
    expected = np.array([[3.0, 4.0], [30.0, 40.0]])
    features = expected + np.array([[0.5, 0.5], [0.0, 5.0 * 2**0.5]])

    differences = compare(features, expected, "bfloat16")

    np.testing.assert_allclose(differences, [2**0.5 / 10, 0.1 * 2**0.5])


@pytest.mark.parametrize("precision", TOLERANCES)
def test_features_without_a_number_are_far_from_all(precision):
    """NaN is no agreement, whatever it is compared with."""
    expected = np.ones((1, 2))

    (difference,) = compare(expected * np.nan, expected, precision)

    assert not difference <= TOLERANCES[precision]


@pytest.mark.parametrize("precision", TOLERANCES)
def test_features_of_zero_have_a_scale(precision):
    """Nothing is divided by zero, and equal is equal."""
    zeros = np.zeros((2, 3))

    assert compare(zeros, zeros, precision).tolist() == [0.0, 0.0]
    assert compare(zeros + 1, zeros, precision).min() > 1
