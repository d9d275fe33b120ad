"""Tests for `head.training.dropout`."""

import keras
import numpy as np
import pytest

from head.training.dropout import ByteDropout
from head.training.dropout import draw_by_bytes


def drop(rate, shape=(100, 1000), seed=0):
    """Returns what is left of ones."""
    layer = ByteDropout(rate, seed=seed)
    return np.asarray(layer(np.ones(shape, np.float32), training=True))


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.6, 0.99])
def test_it_drops_the_rate_and_keeps_the_mean(rate):
    """The share of zeros is the rate, to a 256th; the mean stays one."""
    kept = drop(rate)

    # Five standard deviations of a share, and half a level.
    tolerance = 5 * np.sqrt(rate * (1 - rate) / kept.size)
    assert (kept == 0).mean() == pytest.approx(rate, abs=tolerance + 1 / 512)
    assert kept.mean() == pytest.approx(1, abs=tolerance / (1 - rate))
    assert len(np.unique(kept)) == 2


@pytest.mark.parametrize(
    ("rate", "num_dropped"), [(0.25, 64), (0.1, 26), (1e-6, 1), (0.9999, 255)]
)
def test_the_rate_is_a_number_of_256ths(rate, num_dropped):
    """What is kept is scaled by the rate that is drawn; none is not drawn."""
    kept = drop(rate)

    assert kept.max() == np.float32(256 / (256 - num_dropped))


def test_each_element_and_each_call_is_drawn_by_itself():
    """Neighbours, rows and calls do not follow each other."""
    layer = ByteDropout(0.5, seed=3)
    ones = np.ones((200, 500), np.float32)
    first, second = (np.asarray(layer(ones, training=True)) for _ in range(2))
    kept, again = first > 0, second > 0

    for other in (kept[:, 1:], kept[1:], again):
        same = kept[: other.shape[0], : other.shape[1]] == other
        assert same.mean() == pytest.approx(0.5, abs=0.01)


def test_a_seed_is_a_seed():
    """The same one draws the same, 0 included."""
    np.testing.assert_array_equal(drop(0.3, seed=0), drop(0.3, seed=0))
    assert not np.array_equal(drop(0.3, seed=0), drop(0.3, seed=1))


@pytest.mark.parametrize("num_features", [1, 2, 3, 5, 1001])
def test_any_number_of_elements(num_features):
    """Four bytes are drawn at once, whatever is needed of them."""
    assert drop(0.5, (7, num_features)).shape == (7, num_features)


def test_it_does_nothing_but_in_training():
    """An answer of the head is not drawn."""
    x = np.ones((3, 4), np.float32)

    np.testing.assert_array_equal(ByteDropout(0.5)(x, training=False), x)
    np.testing.assert_array_equal(ByteDropout(0.0)(x, training=True), x)


def test_weights_are_shared_with_the_model():
    """What is trained on the one is what the other answers by."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dropout(0.5, seed=2),
            keras.layers.Dense(2),
        ]
    )

    drawn = draw_by_bytes(model)

    dropouts = [x for x in drawn.layers if isinstance(x, ByteDropout)]
    assert [layer.seed for layer in dropouts] == [1, 2]
    assert not any(isinstance(layer, ByteDropout) for layer in model.layers)
    pairs = zip(
        drawn.trainable_variables, model.trainable_variables, strict=True
    )
    assert all(ours is theirs for ours, theirs in pairs)
