"""Tests for `head.evaluating.metrics`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics import f1_score
from sklearn.metrics import log_loss
from sklearn.metrics import precision_recall_fscore_support
from sklearn.metrics import top_k_accuracy_score

from head.evaluating.metrics import ClassMetrics
from head.evaluating.metrics import Metrics
from head.evaluating.metrics import compute_metrics
from head.evaluating.metrics import is_in_top5
from head.evaluating.metrics import mean_per_class_accuracy
from head.evaluating.metrics import measure
from head.evaluating.metrics import measure_classes
from head.evaluating.metrics import negative_log_likelihood
from head.evaluating.metrics import softmax
from head.evaluating.metrics import top1
from tests.drawn_answers import answers

# Logits of probabilities (0.8, 0.2), (0.6, 0.4), (0.3, 0.7) and (0.1, 0.9).
LOGITS = np.log([[8.0, 2.0], [6.0, 4.0], [3.0, 7.0], [1.0, 9.0]])
LABELS = np.array([0, 0, 0, 1])


def test_hand_computed():
    """Four images and two classes, computed on paper.

    Of class 0 two of three are right, of class 1 the only one. The four
    confidences 0.8, 0.6, 0.7 and 0.9 lie in four bins, so that the error is
    the mean of 0.2, 0.4, 0.7 and 0.1.
    """
    nll = -np.log(0.8 * 0.6 * 0.3 * 0.9) / 4

    metrics = compute_metrics(LOGITS, LABELS)

    assert top1(LOGITS, LABELS) == 0.75
    assert metrics == Metrics(
        top1=0.75,
        top5=1.0,
        mean_per_class=pytest.approx((2 / 3 + 1) / 2),
        macro_f1=pytest.approx((4 / 5 + 2 / 3) / 2),
        nll=pytest.approx(nll),
        ece=pytest.approx(0.35),
        num_images=4,
    )


def test_large_logits_do_not_overflow():
    """A confident mistake has a finite loss, not an infinite one."""
    logits = np.array([[1000.0, 0.0]], np.float32)

    assert negative_log_likelihood(logits, np.array([1])) == 1000
    assert compute_metrics(logits, np.array([1])).nll == pytest.approx(36.04365)
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


@pytest.mark.parametrize("num_classes", range(1, 6))
def test_five_classes_or_fewer_are_all_among_the_first_five(num_classes):
    """Top-5 says nothing then, and warns of nothing."""
    logits = np.eye(num_classes)
    labels = np.roll(np.arange(num_classes), 1)

    assert compute_metrics(logits, labels).top5 == 1


def test_top5_by_hand():
    """Of six classes only the last is not among the first five."""
    probabilities = softmax(np.array([[6.0, 5, 4, 3, 2, 1]] * 3))

    is_in = is_in_top5(probabilities, np.array([0, 4, 5]))

    assert is_in.tolist() == [True, True, False]
    assert measure(probabilities, np.array([0, 4, 5])).top5 == 2 / 3


def test_a_single_class_is_certain():
    """What scikit-learn refuses to measure has no loss."""
    metrics = compute_metrics(np.zeros((2, 1)), np.zeros(2, int))

    assert metrics == Metrics(1.0, 1.0, 1.0, 1.0, 0.0, 0.0, num_images=2)


def test_a_class_that_is_answered_but_never_true_lowers_macro_f1():
    """Its F1 is 0; a class that is neither counts for nothing."""
    logits = np.eye(4)[[0, 0, 1]]

    metrics = compute_metrics(logits, np.array([0, 0, 0]))

    assert metrics.macro_f1 == pytest.approx((4 / 5 + 0) / 2)
    assert metrics.mean_per_class == 2 / 3


def test_classes_by_hand():
    """What is not defined of a class is None, and no zero."""
    logits = np.eye(5)[[0, 0, 1, 3]]

    of_classes = measure_classes(softmax(logits), np.array([0, 0, 0, 2]))

    assert of_classes == [
        ClassMetrics(2 / 3, 1.0, pytest.approx(4 / 5), num_images=3),
        ClassMetrics(None, 0.0, 0.0, num_images=0),
        ClassMetrics(0.0, None, 0.0, num_images=1),
        ClassMetrics(None, 0.0, 0.0, num_images=0),
        ClassMetrics(None, None, None, num_images=0),
    ]


# It leaves out a class that is answered but never true, as we do, and says so.
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.filterwarnings("ignore:'k' .5. greater than or equal to")
@given(answers())
def test_equal_to_scikit_learn(drawn):
    """Each figure that scikit-learn has too is the same, to the last digit."""
    logits, labels = drawn
    probabilities = softmax(logits)
    predicted = probabilities.argmax(-1)
    classes = range(logits.shape[-1])

    metrics = compute_metrics(logits, labels)

    assert metrics.top1 == accuracy_score(labels, predicted)
    assert metrics.mean_per_class == balanced_accuracy_score(labels, predicted)
    assert metrics.macro_f1 == f1_score(labels, predicted, average="macro")
    assert metrics.nll == log_loss(labels, probabilities, labels=classes)
    if len(classes) > 2:  # Of two it wants the probability of one.
        assert metrics.top5 == top_k_accuracy_score(
            labels, probabilities, k=5, labels=classes
        )


@settings(max_examples=50)
@given(answers())
def test_classes_are_equal_to_scikit_learn(drawn):
    """Each figure of each class, and the mean of all is that of all images."""
    logits, labels = drawn
    probabilities = softmax(logits)
    precisions, recalls, f1s, counts = precision_recall_fscore_support(
        labels,
        probabilities.argmax(-1),
        labels=range(logits.shape[-1]),
        zero_division=0,
    )

    of_classes = measure_classes(probabilities, labels)

    for name, expected in (
        ("top1", recalls),
        ("precision", precisions),
        ("f1", f1s),
        ("num_images", counts),
    ):
        found = [getattr(of, name) for of in of_classes]
        assert [value or 0 for value in found] == expected.tolist()
    for name, mean in (("top1", "mean_per_class"), ("f1", "macro_f1")):
        defined = [getattr(of, name) for of in of_classes]
        defined = [value for value in defined if value is not None]
        assert np.mean(defined) == getattr(measure(probabilities, labels), mean)


@settings(max_examples=50)
@given(answers())
def test_the_first_five_are_those_of_top5(drawn):
    """Image by image what the share says of all, equal ones included."""
    probabilities, labels = softmax(drawn[0]), drawn[1]

    share = is_in_top5(probabilities, labels).mean()

    assert measure(probabilities, labels).top5 == share


@settings(max_examples=50)
@given(answers())
def test_the_likelihood_of_probabilities_is_that_of_logits(drawn):
    """Where none is so small that scikit-learn rounds it up."""
    logits, labels = drawn

    nll = compute_metrics(logits, labels).nll

    expected = negative_log_likelihood(logits, labels)
    assert nll == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(answers(), st.randoms(use_true_random=False))
def test_order_does_not_matter(drawn, random):
    """The same images in any order give the same figures."""
    logits, labels = drawn
    order = random.sample(range(len(labels)), len(labels))

    shuffled = compute_metrics(logits[order], labels[order])

    expected = vars(compute_metrics(logits, labels))
    assert vars(shuffled) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(answers(), st.integers(2, 4))
def test_copies_of_all_images_change_nothing(drawn, num_copies):
    """Figures are means: as many of each again give the same."""
    logits, labels = drawn
    copied = compute_metrics(
        np.tile(logits, (num_copies, 1)), np.tile(labels, num_copies)
    )

    expected = vars(compute_metrics(logits, labels))
    expected = {**expected, "num_images": num_copies * len(labels)}
    assert vars(copied) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=50)
@given(answers())
def test_a_constant_on_all_logits_of_an_image_changes_nothing(drawn):
    """Only their differences count."""
    logits, labels = drawn
    offsets = np.arange(len(labels))[:, None]  # Sums are exact.
    logits = np.round(logits)

    moved = compute_metrics(logits + offsets, labels)

    assert moved == compute_metrics(logits, labels)


@given(answers())
def test_bounds(drawn):
    """Shares are within 0 and 1, and the order of some is known."""
    metrics = compute_metrics(*drawn)

    for name in ("top1", "top5", "mean_per_class", "macro_f1", "ece"):
        assert 0 <= getattr(metrics, name) <= 1
    assert metrics.nll >= 0
    if metrics.top1 == 1:
        assert metrics.mean_per_class == metrics.macro_f1 == 1


@given(answers(), st.floats(-1e3, 1e3))
def test_probabilities_ignore_a_common_offset(drawn, offset):
    """Softmax sums to one and depends on differences of logits alone."""
    logits = drawn[0].astype(np.float64)

    probabilities = softmax(logits + offset)

    np.testing.assert_allclose(probabilities.sum(-1), 1)
    np.testing.assert_allclose(probabilities, softmax(logits), rtol=1e-9)
