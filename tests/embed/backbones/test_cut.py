"""Where a model is cut."""

import keras
import numpy as np
import pytest

from embed.backbones.cut import cut_at
from embed.backbones.cut import cut_before_classifier
from embed.backbones.cut import pool
from embed.errors import BackboneError
from tests.embed.backbones.tiny_models import NUM_FILTERS
from tests.embed.backbones.tiny_models import SIZE
from tests.embed.backbones.tiny_models import classifier
from tests.embed.backbones.tiny_models import draw_images
from tests.embed.backbones.tiny_models import layer_output

Layers = keras.layers


def test_features_are_those_in_front_of_the_classifier():
    """Dropout, which is silent when used, is not counted as a layer."""
    model, images = classifier(), draw_images()

    cut, name = cut_before_classifier(model)

    assert name == "pool"
    expected = layer_output(model, "pool", images)
    np.testing.assert_array_equal(cut(images), expected)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        # The last dense layer is the classifier, one before it is not.
        (
            [
                Layers.Flatten(name="flat"),
                Layers.Dense(5, name="hidden"),
                Layers.Dense(2),
                Layers.Softmax(),
            ],
            "hidden",
        ),
        # MobileNet 1 of Keras: a convolution classifies.
        (
            [
                Layers.GlobalAveragePooling2D(keepdims=True, name="pool"),
                Layers.Dropout(0.5),
                Layers.Conv2D(2, 1),
                Layers.Reshape((2,)),
                Layers.Activation("softmax"),
            ],
            "pool",
        ),
        # No classifier at all.
        ([Layers.Conv2D(4, 3, name="last")], "last"),
        ([Layers.GlobalMaxPooling2D(name="pool")], "pool"),
    ],
)
def test_other_ends_of_a_model(layers, expected):
    """Hidden layers, a convolution that classifies, and no classifier."""
    model = keras.Sequential([keras.Input((*SIZE, 3)), *layers])

    assert cut_before_classifier(model)[1] == expected


@pytest.mark.parametrize("is_inside", [False, True])
def test_a_pooling_that_squeezes_a_block_is_not_the_end(is_inside):
    """Without a classifier the last map is what is pooled, as it should be."""
    images = keras.Input((*SIZE, 3))
    x = Layers.Conv2D(4, 3)(images)
    squeezed = Layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    x = Layers.Multiply()([x, Layers.Conv2D(4, 1)(squeezed)])
    model = keras.Model(images, Layers.Conv2D(8, 1, name="last")(x))
    if is_inside:
        layers = [model, Layers.Flatten(), Layers.Dropout(0.5, name="end")]
        model = keras.Sequential([keras.Input((*SIZE, 3)), *layers])

    cut, name = cut_before_classifier(model)

    assert cut is model
    assert name == ("end" if is_inside else "last")


def test_a_classifier_inside_a_model_is_found():
    """A saved model may hold the whole classifier as a layer."""
    inner, images = classifier(), draw_images()
    outer = keras.Sequential(
        [keras.Input((*SIZE, 3)), Layers.Rescaling(2.0), inner]
    )

    cut, name = cut_before_classifier(outer)

    assert name == "classifier/pool"
    expected = layer_output(inner, "pool", 2 * images)
    np.testing.assert_allclose(cut(images), expected, rtol=1e-5)


def test_a_layer_inside_a_model_is_cut_at():
    """`OUTER/INNER` names it; what is around it stays."""
    inner, images = classifier(), draw_images()
    taken = keras.Input((*SIZE, 3))
    outer = keras.Model(taken, Layers.Dense(2)(inner(taken / 2)))

    cut = cut_at(outer, "classifier/relu")

    expected = layer_output(inner, "relu", images / 2)
    np.testing.assert_allclose(cut(images), expected, rtol=1e-5)


def test_an_unknown_layer_is_refused():
    """The message lists layers, the last ones."""
    with pytest.raises(BackboneError, match=r"'pool', 'drop', .*`--cut`"):
        cut_at(classifier(), "classifier/pool")


def test_a_layer_called_twice_is_refused():
    """It has no one output."""
    layer = Layers.Dense(3, name="twice")
    images = keras.Input((3,))
    model = keras.Model(images, layer(layer(images)))

    with pytest.raises(BackboneError, match="2 calls"):
        cut_at(model, "twice")


@pytest.mark.parametrize(
    ("shape", "options", "taken"),
    [
        ((5,), {}, lambda x: x),
        ((2, 3, 5), {}, lambda x: x.mean((1, 2))),
        ((7, 5), {}, lambda x: x.mean(1)),
        ((7, 5), {"is_first_token": True}, lambda x: x[:, 0]),
    ],
)
def test_one_vector_a_picture(shape, options, taken):
    """Maps and tokens are averaged, or the first token stands for all."""
    answer = keras.Input(shape)
    model = keras.Model(answer, pool(answer, **options)[0])
    values = np.random.default_rng(0).random((2, *shape), np.float32)

    np.testing.assert_allclose(model(values), taken(values), rtol=1e-5)


def test_what_was_pooled_is_said():
    """The size of the maps is in the remark; vectors need none."""
    assert pool(keras.Input((2, 3, NUM_FILTERS)))[1] == (
        "The mean of its maps (2, 3, 6) is taken."
    )
    assert pool(keras.Input((5,)))[1] == ""


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4)])
def test_other_shapes_are_refused(shape):
    """What is neither a vector nor a map cannot be features."""
    with pytest.raises(BackboneError, match="another layer with `--cut`"):
        pool(keras.Input(shape))
