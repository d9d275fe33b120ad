"""A head in training beside others: what it is and how far it is."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from embed.rows import Rows
from embed.stream import RowStream
from head.model import build_head
from head.spec import HeadSpec
from head.training.draws import draw_shares_of_images
from head.training.dropout import count_dropped
from head.training.dropout import scale_of
from head.training.schedule import learning_rates
from tune.batches import Batches

Arrays = list[np.ndarray]
Kind = tuple[bool, bool]  # Has a hidden layer; has cosines for logits.
BETA_1, BETA_2 = 0.9, 0.999  # Of Adam, as Keras sets them.


class Hyperparameters(NamedTuple):
    """What a head is trained with in every step.

    Args:
        num_dropped: Of 256 inputs, by dropout.
        scale: Of those that are kept.
        smoothing: Of labels.
        sharpness: By which cosines are multiplied.
    """

    num_dropped: Any
    scale: Any
    smoothing: Any
    sharpness: Any

    @classmethod
    def unpack(cls, packed: tf.Tensor) -> "Hyperparameters":
        """Returns scalars, of dropout as a byte, of `Slot.hyperparameters`."""
        num_dropped, *others = tf.unstack(packed)
        return cls(tf.cast(num_dropped, tf.uint8), *others)


class StepPlan(NamedTuple):
    """What is known of a step beforehand.

    Args:
        rate: The learning rate.
        power_1: Of Adam's first beta.
        power_2: Of its second one.
        left: The share of the weights that their decay leaves.
        share: That which images have of their mixtures.
        feature_scale: That share, or that of their partners if it is larger.
        ratio: Of the smaller one of these two to the larger one.
    """

    rate: Any
    power_1: Any
    power_2: Any
    left: Any
    share: Any
    feature_scale: Any
    ratio: Any


class Slot:
    """A head in training.

    Args:
        spec: What is trained.
        state: To begin with: the weights in the order of the Keras model, then
            the first moments of Adam of each, then the second ones.
        dropouts: Seed and number of inputs of each dropout layer.
        num_batches: Steps an epoch.
        seed: Of mixtures.
    """

    def __init__(
        self,
        spec: HeadSpec,
        state: Sequence[np.ndarray],
        dropouts: Sequence[tuple[int, int]],
        *,
        num_batches: int,
        seed: int,
    ) -> None:
        self.spec = spec
        self.dropouts = dropouts
        variables = [tf.Variable(array) for array in state]
        self.weights = variables[: len(variables) // 3]
        self.moments = variables[len(self.weights) :]
        num_dropped = count_dropped(spec.dropout)
        self.hyperparameters = tf.constant(
            Hyperparameters(
                num_dropped=num_dropped,
                scale=scale_of(num_dropped),
                smoothing=spec.label_smoothing,
                sharpness=1 / (spec.temperature or 1.0),
            ),
            tf.float32,
        )
        self.last: Future[float] | None = None  # Of its steps.
        self.seconds = 0.0
        self._rates = learning_rates(spec, num_batches)
        self._num_batches, self._seed = num_batches, seed

    @property
    def kind(self) -> Kind:
        """Whether there is a hidden layer, and whether logits are cosines."""
        return self.spec.hidden_units > 0, self.spec.temperature is not None

    @property
    def state(self) -> list[np.ndarray]:
        """What the training can be gone on with."""
        return [of.numpy() for of in (*self.weights, *self.moments)]

    @property
    def num_weights(self) -> int:
        """Numbers that are trained."""
        return sum(int(np.prod(weight.shape)) for weight in self.weights)

    def plan(self, batches: Batches) -> tf.Tensor:
        """Returns what is known of the steps of some batches beforehand.

        Returns:
            float32 `(num_batches, 7)`, a column for each field of a
            `StepPlan`; 0 for filling.
        """
        epoch, first = divmod(batches.first_step, self._num_batches)
        shares = draw_shares_of_images(
            self.spec.mixup, self._num_batches, seed=self._seed, epoch=epoch
        )[first : first + batches.num_steps]
        larger = np.maximum(shares, 1 - shares)
        start, stop = batches.first_step, batches.first_step + batches.num_steps
        numbers = np.arange(start + 1, stop + 1)
        rates = self._rates[start:stop]
        columns = StepPlan(
            rate=rates,
            power_1=BETA_1**numbers,
            power_2=BETA_2**numbers,
            left=1 - self.spec.weight_decay * rates,
            share=shares,
            feature_scale=larger,
            ratio=(1 - larger) / larger,
        )
        plan = np.zeros((len(batches.weights), len(columns)), np.float32)
        plan[: batches.num_steps] = np.transpose(columns)
        return tf.constant(plan)


class SlotFactory:
    """Creates heads that begin as those that Keras builds.

    Args:
        train: Training rows.
        num_classes: Number of classes.
        seed: Of weights, dropout and mixtures.
    """

    def __init__(
        self, train: Rows | RowStream, num_classes: int, seed: int
    ) -> None:
        self._train, self._num_classes, self._seed = train, num_classes, seed
        # By what decides on shapes: all heads of one seed begin alike.
        self._weights: dict[tuple[int, bool], Arrays] = {}
        self._dropouts: dict[tuple[int, bool], list[tuple[int, int]]] = {}

    def create(
        self, spec: HeadSpec, state: Arrays | None, *, num_batches: int
    ) -> Slot:
        """Creates a head.

        Args:
            spec: What is trained.
            state: Where to go on; `None` for the beginning.
            num_batches: Steps an epoch.
        """
        structure = spec.hidden_units, spec.temperature is not None
        if structure not in self._weights:
            self._build(structure, spec)
        weights = self._weights[structure]
        moments = [np.zeros_like(weight) for weight in 2 * weights]
        return Slot(
            spec,
            state or [*weights, *moments],
            self._dropouts[structure],
            num_batches=num_batches,
            seed=self._seed,
        )

    def _build(self, structure: tuple[int, bool], spec: HeadSpec) -> None:
        """Looks up weights and seeds in a head that Keras builds."""
        model = build_head(
            spec.model_copy(update={"normalization": "none"}),
            train=self._train,
            num_classes=self._num_classes,
            seed=self._seed,
        )
        self._weights[structure] = [
            weight.numpy() for weight in model.trainable_variables
        ]
        self._dropouts[structure] = [
            (layer.seed, layer.output.shape[-1])
            for layer in model.layers
            if isinstance(layer, keras.layers.Dropout)
        ]
