"""Answers: what a head says of the test split, before anything is measured."""

import dataclasses

import numpy as np

from head.evaluating.calibration import scale
from head.evaluating.metrics import softmax


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a head says of the test split.

    Args:
        labels: True classes of the test images, int32 `(num_images,)`.
        image_ids: Their ids.
        logits_of_views: float32 `(num_images, num_views, num_classes)`.
        class_names: Names by class index.
        views: Views whose logits are averaged; the first is the plain one.
        is_end_to_end: Whether it started from the pictures.
        temperature: By which logits are divided to be calibrated; `None` if
            none was fitted.
    """

    labels: np.ndarray
    image_ids: tuple[str, ...]
    logits_of_views: np.ndarray
    class_names: tuple[str, ...]
    views: tuple[str, ...]
    is_end_to_end: bool
    temperature: float | None

    @property
    def logits(self) -> np.ndarray:
        """The mean of the views, float32 `(num_images, num_classes)`."""
        mean: np.ndarray = self.logits_of_views.mean(axis=1)
        return mean

    @property
    def probabilities(self) -> np.ndarray:
        """Of the mean, float64 `(num_images, num_classes)`."""
        return softmax(self.logits)

    @property
    def predicted(self) -> np.ndarray:
        """First classes of the mean `(num_images,)`."""
        first: np.ndarray = self.probabilities.argmax(-1)
        return first

    @property
    def calibrated_probabilities(self) -> np.ndarray | None:
        """The same after division by the temperature, if there is one."""
        if self.temperature is None:
            return None
        return softmax(scale(self.logits, self.temperature))
