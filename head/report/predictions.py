"""What a run says of the test split, read from what `evaluate` wrote."""

import dataclasses
from pathlib import Path

import numpy as np

from head.evaluating.evaluation_file import ARRAYS


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The written predictions of a run.

    Args:
        labels: True classes `(num_images,)`.
        predicted: First classes `(num_images,)`.
        probabilities: float64 `(num_images, num_classes)`.
        calibrated: The same after calibration; `None` without a temperature.
    """

    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    calibrated: np.ndarray | None

    @property
    def is_wrong(self) -> np.ndarray:
        """Where the answer is not the true class, `(num_images,)`."""
        wrong: np.ndarray = self.predicted != self.labels
        return wrong

    @property
    def confidences(self) -> np.ndarray:
        """The probability of each answer, `(num_images,)`."""
        most: np.ndarray = self.probabilities.max(axis=1)
        return most

    def worst_mistakes(self, count: int) -> list[int]:
        """Returns the rows of the surest wrong answers, the surest first."""
        (rows,) = np.nonzero(self.is_wrong)
        order = np.argsort(-self.confidences[rows], kind="stable")
        return [int(row) for row in rows[order][:count]]

    def least_sure(self, count: int) -> list[int]:
        """Returns the rows of the answers of least probability."""
        order = np.argsort(self.confidences, kind="stable")
        return [int(row) for row in order[:count]]


def read_predictions(directory: Path) -> Predictions:
    """Reads `predictions.npz` of a run that was judged."""
    with np.load(directory / ARRAYS) as arrays:
        calibrated = "calibrated_probabilities"
        return Predictions(
            labels=arrays["labels"],
            predicted=arrays["predicted"],
            probabilities=arrays["probabilities"],
            calibrated=arrays[calibrated] if calibrated in arrays else None,
        )
