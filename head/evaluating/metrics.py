"""What an evaluation measures, from probabilities and labels alone.

Probabilities are the softmax of logits in float64. Wherever scikit-learn has a
figure it is scikit-learn's own, computed from these very probabilities, and so
equal to the last digit to what it says of written predictions. A first class is
the first of the largest probabilities, as in `numpy.argmax`.

A class that does not occur in the test split has no accuracy and is left out of
means over classes. One that is answered without ever being true has an F1 of 0,
which counts.
"""

import dataclasses

import numpy as np

from head.evaluating.reliability import expected_calibration_error

TOP_5 = 5  # Of as many classes or fewer the true one is always among them.


@dataclasses.dataclass(frozen=True)
class Metrics:
    """How well a head does on some images.

    Args:
        top1: Share of the images whose most probable class is the true one.
        top5: Share whose true class is among the five most probable; 1 where
            there are no more than five. Of equal probabilities at the edge
            the class of the larger number counts, as in scikit-learn.
        mean_per_class: Top-1 class by class, averaged over the classes that
            occur.
        macro_f1: Mean F1 of the classes that occur or are answered.
        nll: Mean negative log-likelihood of the true class, in nats. As in
            scikit-learn a probability counts as at least 2.2e-16, so that one
            image adds 36 at most.
        ece: Expected calibration error, 0 to 1.
        num_images: Number of images measured.
    """

    top1: float
    top5: float
    mean_per_class: float
    macro_f1: float
    nll: float
    ece: float
    num_images: int


@dataclasses.dataclass(frozen=True)
class ClassMetrics:
    """How well a head does on one class.

    Args:
        top1: Share of its images that are answered rightly, its recall;
            `None` if there is none.
        precision: Share of its answers that are right; `None` if it is never
            the answer.
        f1: Harmonic mean of both; `None` where neither is defined.
        num_images: Of this class.
    """

    top1: float | None
    precision: float | None
    f1: float | None
    num_images: int


def compute_metrics(logits: np.ndarray, labels: np.ndarray) -> Metrics:
    """Measures the answers for at least one image.

    Args:
        logits: `(num_images, num_classes)`.
        labels: True class numbers `(num_images,)`.

    Raises:
        ValueError: If there is no image, or not one label for each.
    """
    return measure(softmax(logits), labels)


def measure(probabilities: np.ndarray, labels: np.ndarray) -> Metrics:
    """Measures the answers for at least one image.

    Args:
        probabilities: float64 `(num_images, num_classes)`.
        labels: True class numbers `(num_images,)`.

    Raises:
        ValueError: If there is no image, or not one label for each.
    """
    from sklearn.metrics import accuracy_score
    from sklearn.metrics import f1_score

    if len(labels) == 0 or len(probabilities) != len(labels):
        raise ValueError(
            "Metrics need images and one label for each. Received: "
            f"{len(probabilities)} rows of logits, {len(labels)} labels."
        )
    predicted = probabilities.argmax(-1)
    return Metrics(
        top1=float(accuracy_score(labels, predicted)),
        top5=_top5(probabilities, labels),
        mean_per_class=mean_per_class_accuracy(probabilities, labels),
        macro_f1=float(f1_score(labels, predicted, average="macro")),
        nll=_log_loss(probabilities, labels),
        ece=expected_calibration_error(probabilities, labels),
        num_images=len(labels),
    )


def measure_classes(
    probabilities: np.ndarray, labels: np.ndarray
) -> list[ClassMetrics]:
    """Measures the answers for each class, by its number.

    Args:
        probabilities: float64 `(num_images, num_classes)`.
        labels: True class numbers `(num_images,)`.
    """
    from sklearn.metrics import precision_recall_fscore_support

    precisions, recalls, f1s, counts = precision_recall_fscore_support(
        labels,
        probabilities.argmax(-1),
        labels=np.arange(probabilities.shape[-1]),
        zero_division=np.nan,
    )
    columns = zip(recalls, precisions, f1s, counts, strict=True)
    return [
        ClassMetrics(
            top1=_none_if_nan(recall),
            precision=_none_if_nan(precision),
            f1=_none_if_nan(f1),
            num_images=int(count),
        )
        for recall, precision, f1, count in columns
    ]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities `(num_images, num_classes)` in float64."""
    probabilities: np.ndarray = np.exp(_log_softmax(logits))
    return probabilities


def top1(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of the images that are answered rightly."""
    return float(np.mean(logits.argmax(-1) == labels))


def is_in_top5(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tells of each image whether its true class is among the first five."""
    of_true = np.take_along_axis(probabilities, labels[:, None], -1)
    numbers = np.arange(probabilities.shape[-1])
    is_ahead = (probabilities > of_true) | (
        (probabilities == of_true) & (numbers > labels[:, None])
    )
    answer: np.ndarray = is_ahead.sum(-1) < TOP_5
    return answer


def mean_per_class_accuracy(answers: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over the classes that occur of their top-1.

    It is what scikit-learn calls balanced accuracy.

    Args:
        answers: Logits or probabilities `(num_images, num_classes)`.
        labels: True class numbers `(num_images,)`.
    """
    from sklearn.metrics import recall_score

    return float(
        recall_score(
            labels,
            answers.argmax(-1),
            labels=np.unique(labels),
            average="macro",
        )
    )


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean of -log p(true class), from logits and so exact.

    scikit-learn's `log_loss` takes probabilities, of which a confident
    mistake has already been rounded to zero.
    """
    return float(-_log_softmax(logits)[np.arange(len(labels)), labels].mean())


def _top5(probabilities: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.metrics import top_k_accuracy_score

    num_classes = probabilities.shape[-1]
    if num_classes <= TOP_5:
        return 1.0
    return float(
        top_k_accuracy_score(
            labels, probabilities, k=TOP_5, labels=np.arange(num_classes)
        )
    )


def _log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    num_classes = probabilities.shape[-1]
    if num_classes == 1:  # Which is certain; scikit-learn refuses it.
        return 0.0
    return float(log_loss(labels, probabilities, labels=np.arange(num_classes)))


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Subtracts the largest logit first, so that no exponential overflows."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    log_probabilities: np.ndarray = logits - np.log(
        np.exp(logits).sum(-1, keepdims=True)
    )
    return log_probabilities
