"""What an evaluation measures, from logits and labels alone.

All of it is computed in float64. An image whose largest logit occurs twice
counts for the first of the two classes, as in `numpy.argmax`.
"""

import dataclasses

import numpy as np

NUM_BINS = 15  # As in Guo et al. (2017), whose figures others compare with.


@dataclasses.dataclass(frozen=True)
class Metrics:
    """How well a head does on some images.

    Args:
        top1: Share of the images whose most probable class is the true one.
        mean_per_class: That share class by class, averaged over the classes
            that occur.
        nll: Mean negative log-likelihood of the true class, in nats.
        ece: Expected calibration error, 0 to 1.
        num_images: Number of images measured.
    """

    top1: float
    mean_per_class: float
    nll: float
    ece: float
    num_images: int


def compute_metrics(logits: np.ndarray, labels: np.ndarray) -> Metrics:
    """Measures the answers for at least one image.

    Args:
        logits: `(num_images, num_classes)`.
        labels: True class numbers `(num_images,)`.

    Raises:
        ValueError: If there is no image, or not one label for each.
    """
    if len(labels) == 0 or len(logits) != len(labels):
        raise ValueError(
            "Metrics need images and one label for each. Received: "
            f"{len(logits)} rows of logits, {len(labels)} labels."
        )
    return Metrics(
        top1=top1(logits, labels),
        mean_per_class=mean_per_class_accuracy(logits, labels),
        nll=negative_log_likelihood(logits, labels),
        ece=expected_calibration_error(softmax(logits), labels),
        num_images=len(labels),
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities `(num_images, num_classes)` in float64."""
    probabilities: np.ndarray = np.exp(_log_softmax(logits))
    return probabilities


def top1(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of the images that are answered rightly."""
    return float(np.mean(logits.argmax(-1) == labels))


def mean_per_class_accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over the classes that occur of their top-1."""
    from sklearn.metrics import recall_score

    return float(
        recall_score(
            labels, logits.argmax(-1), labels=np.unique(labels), average="macro"
        )
    )


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean of -log p(true class), from logits and so exact.

    scikit-learn's `log_loss` takes probabilities, of which a confident
    mistake has already been rounded to zero.
    """
    return float(-_log_softmax(logits)[np.arange(len(labels)), labels].mean())


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray
) -> float:
    """Returns the mean gap between confidence and accuracy, over bins.

        ECE = sum_m |B_m| / n * |acc(B_m) - conf(B_m)|

    where B_m are the images whose top-1 probability lies in
    ((m - 1) / M, m / M], for M = 15 bins.

    Source: Guo et al. (2017), "On calibration of modern neural networks",
    equation 3, https://arxiv.org/abs/1706.04599.

    Args:
        probabilities: `(num_images, num_classes)`.
        labels: True class numbers `(num_images,)`.
    """
    confidences = probabilities.max(-1)
    is_right = probabilities.argmax(-1) == labels
    inner_edges = np.arange(1, NUM_BINS) / NUM_BINS
    bins = np.digitize(confidences, inner_edges, right=True)
    # |B_m| * (acc(B_m) - conf(B_m)) is a sum over B_m; an empty bin gives 0.
    gaps = np.bincount(bins, weights=is_right - confidences)
    return float(np.abs(gaps).sum() / len(labels))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Subtracts the largest logit first, so that no exponential overflows."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    log_probabilities: np.ndarray = logits - np.log(
        np.exp(logits).sum(-1, keepdims=True)
    )
    return log_probabilities
