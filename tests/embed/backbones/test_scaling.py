"""From pixels in [0, 1] to those that a network takes."""

import keras
import numpy as np
import pytest

from embed.backbones.scaling import COMMON
from embed.backbones.scaling import UNIT
from embed.backbones.scaling import parse_range
from embed.errors import BackboneError


@pytest.mark.parametrize(
    ("text", "black", "white"),
    [
        ("0,1", (0, 0, 0), (1, 1, 1)),
        ("-1,1", (-1, -1, -1), (1, 1, 1)),
        ("0, 255", (0, 0, 0), (255, 255, 255)),
        ("-0.5,0.5", (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5)),
        ("caffe", (-103.939, -116.779, -123.68), (151.061, 138.221, 131.32)),
        ("torch", (-2.1179, -2.0357, -1.8044), (2.2489, 2.4286, 2.64)),
    ],
)
def test_a_range_says_what_black_and_white_become(text, black, white):
    """`LOW,HIGH` are black and white; two modes are those of Keras."""
    pixels = parse_range(text).scale_array(np.array([[0.0] * 3, [1.0] * 3]))

    np.testing.assert_allclose(pixels, [black, white], atol=1e-3)


@pytest.mark.parametrize("name", sorted(COMMON))
def test_a_name_is_what_an_option_takes(name):
    """What a message calls a range can be written behind the handle."""
    assert COMMON[name].name == name
    assert parse_range(name).is_close(COMMON[name])


def test_caffe_takes_blue_first():
    """The channels are reversed, in arrays and in models alike."""
    images = keras.Input((1, 1, 3))
    model = keras.Model(images, COMMON["caffe"].scale_tensor(images))
    red = np.array([1.0, 0, 0], np.float32).reshape(1, 1, 1, 3)

    expected = [[[[-103.939, -116.779, 131.32]]]]
    np.testing.assert_allclose(model(red), expected, atol=1e-3)
    array = COMMON["caffe"].scale_array(red)
    np.testing.assert_allclose(array, expected, atol=1e-3)


def test_unit_pixels_pass_without_a_layer():
    """A network that takes [0, 1] is given the images themselves."""
    images = keras.Input((2, 2, 3))

    assert UNIT.scale_tensor(images) is images


@pytest.mark.parametrize("text", ["", "1", "a,b", "1,0", "0,nan", "0,1,2"])
def test_a_senseless_range_is_refused(text):
    """The message shows what can be written."""
    with pytest.raises(BackboneError, match=r"`\?range=-1,1`"):
        parse_range(text)
