"""Dropout from a byte an element, for the training of a head.

Keras draws a float an element: a third of the time of a head's training. A
byte decides as well, and the rate is a 256th then. The mean stays what it is,
since what is kept is scaled by the rate that is drawn.
"""

from typing import Any

import keras
import tensorflow as tf

NUM_LEVELS = 256
BYTES_A_WORD = 4


class ByteDropout(keras.layers.Dropout):
    """Sets each input to zero with a probability of a number of 256ths.

    Args:
        rate: That probability, rounded to the nearest; never to zero or one.
        seed: Of what is drawn.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the inputs, in training with some set to zero.

        Args:
            inputs: float32 `(batch, num_features)`.
            training: Whether to drop any.
        """
        if not training or not self.rate:
            return inputs
        drawn = draw_bytes(self.seed_generator.next(), tf.shape(inputs))
        num_dropped = count_dropped(self.rate)
        return keep(inputs, drawn, num_dropped) * scale_of(num_dropped)


def draw_bytes(seed: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Draws a byte for each element.

    Args:
        seed: Of the layer, and the number of the call, uint32 `(2,)`.
        shape: Of the bytes.
    """
    size = tf.reduce_prod(shape)
    words = tf.random.stateless_uniform(
        [-(-size // BYTES_A_WORD)],
        seed=tf.cast(seed, tf.int32),
        minval=None,
        maxval=None,
        dtype=tf.uint32,
    )
    drawn = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size]
    return tf.reshape(drawn, shape)


def count_dropped(rate: float) -> int:
    """Returns how many of the 256 values of a byte drop an element."""
    if not rate:
        return 0
    return min(max(round(rate * NUM_LEVELS), 1), NUM_LEVELS - 1)


def keep(inputs: tf.Tensor, drawn: tf.Tensor, num_dropped: Any) -> tf.Tensor:
    """Sets to zero what the bytes say; what is kept is not scaled yet."""
    is_kept = drawn >= tf.cast(num_dropped, tf.uint8)
    return inputs * tf.cast(is_kept, inputs.dtype)


def scale_of(num_dropped: Any) -> Any:
    """Returns by what the kept inputs are scaled."""
    return NUM_LEVELS / (NUM_LEVELS - num_dropped)


def draw_by_bytes(model: keras.Model) -> keras.Model:
    """Returns a model of the same weights whose dropout draws bytes."""

    def replace(layer: keras.Layer) -> keras.Layer:
        if not isinstance(layer, keras.layers.Dropout):
            return layer
        return ByteDropout(layer.rate, seed=layer.seed, name=layer.name)

    return keras.models.clone_model(model, clone_function=replace)
