"""How far confidence is from accuracy, bin by bin.

The confidence in an answer is its probability, that of the first class. Of few
images even a head whose confidences are exactly right shows an error, by
chance: how large, and how far each bin is from the diagonal then, is drawn
("consistency bars" of Bröcker and Smith, 2007, "Increasing the reliability of
reliability diagrams").
"""

import dataclasses

import numpy as np

NUM_BINS = 15  # As in Guo et al. (2017), whose figures others compare with.
NUM_DRAWS = 2_000  # As many as for the intervals of the other metrics.
SEED = 0
TAILS = (0.025, 0.975)
MAX_DRAWS = 2**21  # At a time: 16 MB, and a few times that.


@dataclasses.dataclass(frozen=True)
class ConfidenceBins:
    """Images by the confidence in their answer, in M = 15 bins.

    Args:
        num_images: In each of the bins ((m - 1) / M, m / M], `(15,)`.
        num_right: Images among them that are answered rightly, `(15,)`.
        gaps: Sum over each bin of 1 for a right answer or 0 for a wrong one,
            less its confidence, `(15,)`.
    """

    num_images: np.ndarray
    num_right: np.ndarray
    gaps: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1."""
        return float(np.abs(self.gaps).sum() / self.num_images.sum())


@dataclasses.dataclass(frozen=True)
class Chance:
    """Where 95 % of all heads would be whose confidences are exactly right.

    Args:
        error: Ends of their expected calibration error.
        accuracies: Ends of their accuracy in each bin, `(2, 15)`; `nan` in an
            empty one.
    """

    error: tuple[float, float]
    accuracies: np.ndarray


def bin_by_confidence(
    probabilities: np.ndarray, labels: np.ndarray
) -> ConfidenceBins:
    """Sorts images into bins.

    Args:
        probabilities: `(num_images, num_classes)`.
        labels: True class numbers `(num_images,)`.
    """
    confidences = probabilities.max(-1)
    is_right = probabilities.argmax(-1) == labels
    bins = _find_bins(confidences)
    return ConfidenceBins(
        num_images=np.bincount(bins, minlength=NUM_BINS),
        num_right=np.bincount(bins[is_right], minlength=NUM_BINS),
        gaps=np.bincount(
            bins, weights=is_right - confidences, minlength=NUM_BINS
        ),
    )


def draw_chance(probabilities: np.ndarray) -> Chance:
    """Has answers be right as often as their confidence says, many times.

    Args:
        probabilities: `(num_images, num_classes)`.
    """
    confidences = np.sort(probabilities.max(-1))
    bins = _find_bins(confidences)
    present, starts = np.unique(bins, return_index=True)
    expected = np.add.reduceat(confidences, starts)
    rng = np.random.default_rng(SEED)
    num_at_a_time = max(1, MAX_DRAWS // len(bins))
    num_right = np.concatenate(
        [
            np.add.reduceat(
                rng.random((min(num_at_a_time, NUM_DRAWS - start), len(bins)))
                < confidences,
                starts,
                axis=-1,
                dtype=np.int64,
            )
            for start in range(0, NUM_DRAWS, num_at_a_time)
        ]
    )
    errors = np.abs(num_right - expected).sum(-1) / len(bins)
    accuracies = np.full((2, NUM_BINS), np.nan)
    num_images = np.bincount(bins)[present]
    accuracies[:, present] = np.quantile(num_right / num_images, TAILS, axis=0)
    low, high = np.quantile(errors, TAILS)
    return Chance((float(low), float(high)), accuracies)


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
    # |B_m| * (acc(B_m) - conf(B_m)) is a sum over B_m; an empty bin gives 0.
    return bin_by_confidence(probabilities, labels).error


def _find_bins(confidences: np.ndarray) -> np.ndarray:
    """Returns the number of the bin of each confidence, from 0."""
    inner_edges = np.arange(1, NUM_BINS) / NUM_BINS
    bins: np.ndarray = np.digitize(confidences, inner_edges, right=True)
    return bins
