"""Temperature scaling: how sure a head is, set right by validation images.

Logits are divided by one number, the temperature, which makes answers less
sure above 1 and more so below it. No first class changes.

Source: Guo et al. (2017), "On calibration of modern neural networks", section
4.2, https://arxiv.org/abs/1706.04599.
"""

import math

import numpy as np

from head.evaluating.metrics import negative_log_likelihood
from head.evaluating.metrics import softmax

# Heads need 0.5 to 3; one of two epochs, whose logits are small, 0.05.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0
NUM_HALVINGS = 40  # Of the range between them: to 1 part in 10^11.
# So that the order of float32 additions, which may depend on how rows are
# read, does not show. Validation images tell two digits.
NUM_DIGITS = 6


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Finds the temperature of the smallest negative log-likelihood.

    Where that would fall without end as the temperature does, every image
    being answered rightly, nothing is known of mistakes: it stays 1.

    Args:
        logits: Of validation images, `(num_images, num_classes)`, of a head
            that was not trained on them.
        labels: True class numbers `(num_images,)`.

    Returns:
        At least 0.01, at most 100; 1 where no other is better.
    """
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    if _slope(logits, labels, MIN_TEMPERATURE) <= 0:
        return 1.0
    # The likelihood is convex in 1 / T, and has one minimum in T as well.
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        if _slope(logits, labels, math.exp(middle)) > 0:
            low = middle
        else:
            high = middle
    fitted = float(f"{math.exp(high):.{NUM_DIGITS}g}")
    before = negative_log_likelihood(logits, labels)
    after = negative_log_likelihood(scale(logits, fitted), labels)
    return fitted if after < before else 1.0


def scale(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Returns calibrated logits, in float64."""
    scaled: np.ndarray = logits.astype(np.float64) / temperature
    return scaled


def _slope(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Returns the derivative of the likelihood by 1 / T.

    It is positive where a higher temperature is better: the mean of what the
    probabilities expect a logit to be, less the logit of the true class.
    """
    expected = (softmax(scale(logits, temperature)) * logits).sum(-1)
    of_true = np.take_along_axis(logits, labels[:, None], -1)[:, 0]
    return float((expected - of_true).mean())
