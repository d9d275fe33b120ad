"""A head in training beside others: what it is and how far it is."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from head.draws import draw_shares_of_images
from head.dropout import count_dropped
from head.schedule import learning_rates
from head.spec import HeadSpec
from tune.batches import Batches


class Slot:
    """A head in training.

    Args:
        spec: What is trained.
        weights: Those to begin with, in the order of the Keras model.
        dropouts: Seed and number of inputs of each dropout layer.
        num_batches: Steps an epoch.
        seed: Of mixtures.
    """

    def __init__(
        self,
        spec: HeadSpec,
        weights: Sequence[np.ndarray],
        dropouts: Sequence[tuple[int, int]],
        *,
        num_batches: int,
        seed: int,
    ) -> None:
        self.spec = spec
        self.dropouts = dropouts
        self.weights = [tf.Variable(weight) for weight in weights]
        self.moments = [  # Of Adam: all first ones, then all second ones.
            tf.Variable(np.zeros_like(weight))
            for _ in range(2)
            for weight in weights
        ]
        self.hyperparameters = tf.constant(
            [
                count_dropped(spec.dropout),
                spec.weight_decay,
                spec.label_smoothing,
                1 / (spec.temperature or 1.0),
            ],
            tf.float32,
        )
        self.loss = 0.0  # The sum of an epoch so far.
        self.seconds = 0.0
        self._rates = learning_rates(spec, num_batches)
        self._num_batches, self._seed = num_batches, seed

    @property
    def kind(self) -> tuple[bool, bool]:
        """Whether there is a hidden layer, and whether logits are cosines."""
        return self.spec.hidden_units > 0, self.spec.temperature is not None

    @property
    def num_weights(self) -> int:
        """Numbers that are trained."""
        return sum(int(np.prod(weight.shape)) for weight in self.weights)

    def rates(self, batches: Batches) -> tf.Tensor:
        """Returns the learning rate of each step."""
        start = batches.first_step
        return tf.constant(self._rates[start : start + batches.num_steps])

    def draw_shares(self, batches: Batches) -> tf.Tensor:
        """Returns what share of its mixtures the images of each batch have."""
        drawn = draw_shares_of_images(
            self.spec.mixup,
            self._num_batches,
            seed=self._seed,
            epoch=batches.first_step // self._num_batches,
        )
        start = batches.first_step % self._num_batches
        return tf.constant(drawn[start : start + batches.num_steps])
