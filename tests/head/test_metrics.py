"""Tests for `head.metrics`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from sklearn.metrics import accuracy_score
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics import log_loss

from head.metrics import Metrics
from head.metrics import compute_metrics
from head.metrics import expected_calibration_error
from head.metrics import mean_per_class_accuracy
from head.metrics import negative_log_likelihood
from head.metrics import softmax
from head.metrics import top1

# Logits of probabilities (0.8, 0.2), (0.6, 0.4), (0.3, 0.7) and (0.1, 0.9).
LOGITS = np.log([[8.0, 2.0], [6.0, 4.0], [3.0, 7.0], [1.0, 9.0]])
LABELS = np.array([0, 0, 0, 1])
MAX_LOGIT = 10  # Below exp(-36) scikit-learn rounds a probability up.


@st.composite
def answers(draw):
    """Draws logits and labels of 1 to 20 images and 2 to 5 classes."""
    num_images = draw(st.integers(1, 20))
    num_classes = draw(st.integers(2, 5))
    logits = draw(
        st_numpy.arrays(
            np.float32,
            (num_images, num_classes),
            elements=st.floats(-MAX_LOGIT, MAX_LOGIT, width=32),
        )
    )
    labels = draw(
        st_numpy.arrays(
            np.int32, num_images, elements=st.integers(0, num_classes - 1)
        )
    )
    return logits, labels


def test_hand_computed():
    """Four images and two classes, computed on paper.

    Of class 0 two of three are right, of class 1 the only one. The four
    confidences 0.8, 0.6, 0.7 and 0.9 lie in four bins, so that the error is
    the mean of 0.2, 0.4, 0.7 and 0.1.
    """
    nll = -np.log(0.8 * 0.6 * 0.3 * 0.9) / 4

    metrics = compute_metrics(LOGITS, LABELS)

    assert metrics == Metrics(
        top1=0.75,
        mean_per_class=pytest.approx((2 / 3 + 1) / 2),
        nll=pytest.approx(nll),
        ece=pytest.approx(0.35),
        num_images=4,
    )


def test_images_of_one_bin_are_averaged_before_they_are_compared():
    """One right and one wrong at confidence 0.5 are perfectly calibrated."""
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])

    assert expected_calibration_error(probabilities, np.array([0, 1])) == 0


@pytest.mark.parametrize("edge", [3 / 5, 2 / 3, 4 / 5])
def test_a_bin_contains_its_upper_edge(edge):
    """The bins are open below and closed above, as in the paper.

    The image on the edge and the one just above it are in two bins: their
    gaps, of opposite sign, do not cancel.
    """
    above = edge + 0.01
    probabilities = np.array([[edge, 1 - edge], [above, 1 - above]])

    error = expected_calibration_error(probabilities, np.array([0, 1]))

    assert error == pytest.approx((1 - edge + above) / 2)


def test_certainty_is_in_the_last_bin():
    """A probability of exactly 1 is counted, and is right."""
    logits = np.array([[1000.0, 0.0], [0.0, 1000.0]])

    metrics = compute_metrics(logits, np.array([0, 1]))

    assert (metrics.ece, metrics.nll) == (0, 0)


def test_large_logits_do_not_overflow():
    """A confident mistake has a finite loss, not an infinite one."""
    logits = np.array([[1000.0, 0.0]], np.float32)

    assert negative_log_likelihood(logits, np.array([1])) == 1000
    np.testing.assert_array_equal(softmax(logits), [[1, 0]])


def test_softmax_is_float64():
    """Float32 logits lose nothing more on their way to probabilities."""
    assert softmax(LOGITS.astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(softmax(LOGITS)[0], [0.8, 0.2], rtol=1e-14)


def test_only_classes_that_occur_are_averaged():
    """A class without an image neither raises nor lowers the mean."""
    logits = np.eye(3)[[0, 2, 1]]

    assert mean_per_class_accuracy(logits, np.array([0, 0, 1])) == 0.75


@pytest.mark.parametrize(("num_rows", "num_labels"), [(0, 0), (4, 3), (1, 4)])
def test_counts_must_agree(num_rows, num_labels):
    """Nothing to measure is refused, and so is a label too few."""
    with pytest.raises(ValueError, match=f"{num_rows} rows of logits"):
        compute_metrics(LOGITS[:num_rows], LABELS[:num_labels])


# It leaves out a class that is answered but never true, as we do, and says so.
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(deadline=None)
@given(answers())
def test_equal_to_scikit_learn(drawn):
    """Each figure that scikit-learn has too is the same there."""
    logits, labels = drawn
    predicted = logits.argmax(-1)

    metrics = compute_metrics(logits, labels)

    assert metrics.top1 == accuracy_score(labels, predicted)
    assert metrics.mean_per_class == pytest.approx(
        balanced_accuracy_score(labels, predicted)
    )
    assert metrics.nll == pytest.approx(
        log_loss(labels, softmax(logits), labels=range(logits.shape[-1])),
        abs=1e-12,
    )
    assert metrics.top1 == top1(logits, labels)


@settings(deadline=None)
@given(answers(), st.randoms(use_true_random=False))
def test_order_does_not_matter(drawn, random):
    """The same images in any order give the same figures."""
    logits, labels = drawn
    order = random.sample(range(len(labels)), len(labels))

    shuffled = compute_metrics(logits[order], labels[order])

    expected = vars(compute_metrics(logits, labels))
    assert vars(shuffled) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(answers())
def test_bounds(drawn):
    """Shares and the calibration error are within 0 and 1."""
    metrics = compute_metrics(*drawn)

    assert 0 <= metrics.top1 <= 1
    assert 0 <= metrics.mean_per_class <= 1
    assert 0 <= metrics.ece <= 1
    assert metrics.nll >= 0


@given(answers(), st.floats(-1e3, 1e3))
def test_probabilities_ignore_a_common_offset(drawn, offset):
    """Softmax sums to one and depends on differences of logits alone."""
    logits = drawn[0].astype(np.float64)

    probabilities = softmax(logits + offset)

    np.testing.assert_allclose(probabilities.sum(-1), 1)
    np.testing.assert_allclose(probabilities, softmax(logits), rtol=1e-9)
