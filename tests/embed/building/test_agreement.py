"""Tests for `embed.building.agreement`."""

import dataclasses

import numpy as np
import pytest

from embed.building.agreement import TOLERANCES
from embed.building.agreement import check_engine
from embed.building.agreement import compare
from embed.errors import BackboneError
from embed.errors import EngineError
from tests.stub_engine import StubEngine


def shifted(backbone, shift):
    """Returns an engine that answers the backbone's features and some more."""
    return StubEngine(
        backbone, lambda images: np.asarray(backbone.model(images)) + shift
    )


@pytest.fixture(name="images")
def _images():
    return np.random.default_rng(0).random((4, 8, 8, 3), np.float32)


def test_right_engine_passes(tiny_backbone, images):
    """What differs by less than 1e-4 of the scale is the same."""
    check_engine(shifted(tiny_backbone, 1e-5), tiny_backbone, images, "float32")


@pytest.mark.parametrize("shift", [0.01, -0.01, np.nan])
def test_wrong_engine_is_refused(tiny_backbone, images, shift):
    """A hundredth too much, or no number at all, and what to use instead."""
    engine = shifted(tiny_backbone, shift)

    with pytest.raises(
        EngineError, match=r"engine stub does .* 8 x 8 .* another `--engine`"
    ):
        check_engine(engine, tiny_backbone, images, "float32")


def rescale(backbone, scale, offset=0.0):
    """Returns the backbone with other features."""
    import keras

    layer = keras.layers.Rescaling(scale, offset)
    model = keras.Sequential([backbone.model, layer])
    return dataclasses.replace(backbone, model=model)


def test_constant_features_are_refused(tiny_backbone, images):
    """On features that are all alike every comparison would pass."""
    constant = rescale(tiny_backbone, 0.0, offset=3.0)

    with pytest.raises(BackboneError, match="give others with `--weights`"):
        check_engine(shifted(constant, 0), constant, images, "float32")


@pytest.mark.parametrize("scale", [0.0, 1e-9, np.nan])
def test_features_without_a_scale_are_refused(tiny_backbone, images, scale):
    """A fresh network answers features below 1e-11: that is no backbone."""
    silent = rescale(tiny_backbone, scale)

    with pytest.raises(BackboneError, match="give others with `--weights`"):
        check_engine(shifted(silent, 0), silent, images, "float32")


@pytest.mark.parametrize("shift", [0.02, -0.02])
def test_half_precision_may_differ_more(tiny_backbone, images, shift):
    """What bfloat16 rounds away is no fault of the engine."""
    engine = shifted(tiny_backbone, shift)

    check_engine(engine, tiny_backbone, images, "bfloat16")


def test_equal_pictures_need_no_variance(tiny_backbone, images):
    """Eight copies of one picture must have equal features."""
    same = np.repeat(images[:1], 4, axis=0)

    check_engine(shifted(tiny_backbone, 0), tiny_backbone, same, "float32")


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
