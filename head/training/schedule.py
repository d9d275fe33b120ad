"""The learning rate of every step of a training."""

import math

import keras
import numpy as np
import tensorflow as tf

from head.spec import HeadSpec


def learning_rates(spec: HeadSpec, num_batches: int) -> np.ndarray:
    """Returns the learning rate of each step.

    It rises linearly for the warm-up, which leaves no step without a rate,
    and then stays, or falls to zero along half a cosine (Loshchilov and
    Hutter, 2017, without restarts). A rate that stays is the same step by
    step whatever the number of epochs, so that a training can be continued.

    Args:
        spec: Rate, schedule, and epochs of the warm-up and in all.
        num_batches: Steps an epoch.

    Returns:
        float32 `(num_steps,)`.
    """
    step = np.arange(spec.epochs * num_batches)
    num_warm = spec.warmup_epochs * num_batches
    factor = np.minimum((step + 1) / max(num_warm, 1), 1.0)
    if spec.schedule == "cosine":
        num_left = max(len(step) - num_warm, 1)
        progress = np.maximum(step - num_warm, 0) / num_left
        factor *= (1 + np.cos(math.pi * progress)) / 2
    return np.asarray(spec.learning_rate * factor, np.float32)


class ListedRates(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that was computed before, for an optimizer of Keras.

    Args:
        rates: Of each step `(num_steps,)`.
    """

    def __init__(self, rates: np.ndarray) -> None:
        self._rates = tf.constant(rates, tf.float32)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the rate of a step, counted from 0."""
        return tf.gather(self._rates, tf.cast(step, tf.int32))
