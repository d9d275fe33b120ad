"""Training labels that the other pictures contradict.

A picture's label is doubted by what a linear classifier says that was fitted
to all training pictures but this one: ridge regression from features of view
0, centred and scaled to unit length, to one column a class. What it says with
one row left out follows exactly from one fit of all,

    y_i - s_i = (y_i - f_i) / (1 - h_i)

where f_i is the fit of row i, h_i = x_i^T (X^T X + a I)^-1 x_i its leverage
and s_i the score without it (Allen, 1974, "The relationship between variable
selection and data augmentation"). So nothing is trained again, and no more
than one square matrix of the features is held, however many rows there are.

The scores become probabilities, and the label of least probability comes
first: where two classes are near each other, neither is sure. Of the 2,960
labels of Oxford-IIIT Pet 16 or 20 were swapped: all but two at most are among
the first 40, in each of twelve draws that chose nothing here. By the gap
between two scores it is 17 of 20 in some, by the vote of 30 neighbours 13.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np

from embed.cache import FeatureCache
from embed.errors import PipelineError
from head.evaluating.metrics import softmax
from head.vectors import find_mean
from head.vectors import scale_to_unit

SPLIT = "train"
REGULARIZATION = 1.0  # Of the mean eigenvalue.
# By which scores, near 0 and 1, are divided before the softmax.
TEMPERATURE = 0.1
MOST_FEATURES = 8_192  # The matrix takes half a gigabyte, its inverse as much.
LEAST_FREE = 1e-9  # A row that alone decides its fit: 1 - h is 0 but for noise.

Pieces = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


class TooManyFeaturesError(PipelineError, ValueError):
    """A square matrix of the features would take too much memory."""


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A training picture whose label the others contradict.

    Args:
        row: In the train split.
        label: Class number it was given.
        suggested: Class number that the others say.
        probability: Of the label, by what the others say, 0 to 1.
    """

    row: int
    label: int
    suggested: int
    probability: float


def find_suspects(cache: FeatureCache, count: int) -> tuple[list[Suspect], int]:
    """Doubts the labels of the train split of a cache.

    Args:
        cache: Where the features lie; read three times, in pieces.
        count: Largest number of suspects.

    Returns:
        The surest first, and how many labels there are in all that another
        class outdoes.

    Raises:
        CorruptCacheError: If a row is not what was written.
        TooManyFeaturesError: If there are more than `MOST_FEATURES`.
    """
    labels, rows = cache.labels(SPLIT), np.arange(cache.num_images[SPLIT])

    def pieces() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start, stored in cache.read_rows(SPLIT, rows):
            features = stored.features[:, 0]
            yield features, labels[start : start + len(features)]

    return rank_suspects(
        pieces,
        feature_dim=cache.feature_dim,
        num_classes=len(cache.spec.class_names),
        count=count,
    )


def rank_suspects(
    pieces: Pieces, *, feature_dim: int, num_classes: int, count: int
) -> tuple[list[Suspect], int]:
    """Does it for rows that come in pieces, the same in every pass.

    Args:
        pieces: Yields features `(num_rows, feature_dim)` and labels.
        feature_dim: Number of features.
        num_classes: Number of classes.
        count: Largest number of suspects.

    Raises:
        TooManyFeaturesError: If there are more than `MOST_FEATURES`.
    """
    if feature_dim > MOST_FEATURES:
        raise TooManyFeaturesError(
            f"{feature_dim:,} features a picture are more than the "
            f"{MOST_FEATURES:,} for which labels are doubted"
        )
    mean = find_mean((features for features, _ in pieces()), feature_dim)
    gram = np.zeros((feature_dim + 1, feature_dim + 1))
    products = np.zeros((feature_dim + 1, num_classes))
    for features, labels in pieces():
        inputs = _prepare(features, mean)
        gram += inputs.T @ inputs
        products += inputs.T @ np.eye(num_classes)[labels]
    penalty = REGULARIZATION * np.trace(gram) / len(gram)
    inverse = np.linalg.inv(gram + penalty * np.eye(len(gram)))
    weights = inverse @ products
    found: list[Suspect] = []
    start = num_doubted = 0
    for features, labels in pieces():
        scores = _score_without(
            _prepare(features, mean), labels, inverse, weights
        )
        doubted = _doubt(scores, labels, start)
        start += len(labels)
        num_doubted += len(doubted)
        # Of equal ones the first row stays first: the sort is stable.
        found = sorted(found + doubted, key=lambda suspect: suspect.probability)
        found = found[:count]
    return found, num_doubted


def _prepare(features: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns centred rows of length 1, and a constant column."""
    unit = scale_to_unit(features.astype(np.float64) - mean)
    return np.hstack([unit, np.ones((len(unit), 1))])


def _score_without(
    inputs: np.ndarray,
    labels: np.ndarray,
    inverse: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Returns what is said of each row by a fit without it, by class."""
    truth = np.eye(weights.shape[1])[labels]
    leverages = np.einsum("nd,nd->n", inputs @ inverse, inputs)
    free = np.maximum(1 - leverages, LEAST_FREE)[:, np.newaxis]
    scores: np.ndarray = truth - (truth - inputs @ weights) / free
    return scores


def _doubt(scores: np.ndarray, labels: np.ndarray, start: int) -> list[Suspect]:
    """Returns the rows in which another class outdoes the label."""
    numbers = np.arange(len(labels))
    probabilities = softmax(scores / TEMPERATURE)
    others = scores.copy()
    others[numbers, labels] = -np.inf
    suggested = others.argmax(axis=1)
    is_outdone = others[numbers, suggested] > scores[numbers, labels]
    return [
        Suspect(
            row=start + int(number),
            label=int(labels[number]),
            suggested=int(suggested[number]),
            probability=float(probabilities[number, labels[number]]),
        )
        for number in np.flatnonzero(is_outdone)
    ]
