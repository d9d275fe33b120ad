"""Which classes are taken for which."""

import dataclasses

import numpy as np
from sklearn.metrics import confusion_matrix

from head.report.predictions import Predictions


@dataclasses.dataclass(frozen=True)
class ConfusedPair:
    """A class that is taken for another.

    Args:
        true: Number of the class.
        predicted: Number of the one that it is taken for.
        rows: Test rows of it, the surest mistake first.
        num_true: Test pictures of the class.
    """

    true: int
    predicted: int
    rows: tuple[int, ...]
    num_true: int


def count_answers(predictions: Predictions) -> np.ndarray:
    """Returns how often each true class (row) got each answer (column)."""
    num_classes = predictions.probabilities.shape[1]
    counts: np.ndarray = confusion_matrix(
        predictions.labels,
        predictions.predicted,
        labels=np.arange(num_classes),
    )
    return counts


def most_confused(
    predictions: Predictions, matrix: np.ndarray, count: int
) -> list[ConfusedPair]:
    """Returns the pairs with most mistakes, the first with the most.

    Args:
        predictions: What was answered.
        matrix: What `count_answers` says of them.
        count: Largest number of pairs.
    """
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = []
    for place in order.tolist():
        true, predicted = divmod(place, len(matrix))
        if mistakes[true, predicted]:
            is_in = (predictions.labels == true) & (
                predictions.predicted == predicted
            )
            rows = np.flatnonzero(is_in)
            surest = np.argsort(-predictions.confidences[rows], kind="stable")
            pairs.append(
                ConfusedPair(
                    true=true,
                    predicted=predicted,
                    rows=tuple(int(row) for row in rows[surest]),
                    num_true=int(matrix[true].sum()),
                )
            )
    return pairs
