"""Tests for `head.model`."""

import dataclasses

import numpy as np
import pytest

from head.model import build_head
from head.spec import HeadSpec


def build(rows, seed=0, **changes):
    """Builds the head of some changes to the reference recipe."""
    return build_head(
        HeadSpec(**changes),
        train=rows,
        num_classes=3,
        seed=seed,
    )


def answer(head, features):
    """Returns the logits of a head whose dense layer sums the features."""
    kernel, bias = head.layers[-1].get_weights()
    head.layers[-1].set_weights([np.ones_like(kernel), np.zeros_like(bias)])
    return np.asarray(head(features))[:, 0]


def test_without_normalization_features_pass_unchanged(rows):
    """A sum over features is their sum."""
    features = np.array([[1, 2, 3, 0, 0, 4]], np.float32)

    assert answer(build(rows), features) == pytest.approx([10])


def test_l2_scales_to_unit_length(rows):
    """(3, 4) becomes (0.6, 0.8)."""
    features = np.array([[3, 0, 0, 0, 0, 4]], np.float32)

    sums = answer(build(rows, normalization="l2"), features)

    assert sums == pytest.approx([1.4])


def test_sqrt_keeps_the_sign(rows):
    """(4, -9) becomes (2, -3)."""
    features = np.array([[4, 0, 0, 0, 0, -9]], np.float32)

    sums = answer(build(rows, normalization="sqrt"), features)

    assert sums == pytest.approx([-1])


def test_standardize_centres_and_scales_by_the_training_rows(rows):
    """Over all training vectors each feature has mean 0 and deviation 1."""
    head = build(rows, normalization="standardize")
    vectors = rows.features.reshape(-1, rows.features.shape[-1])

    normalized = np.asarray(head.get_layer("standardize")(vectors))

    np.testing.assert_allclose(normalized.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std(0), 1, atol=1e-4)


def test_the_reference_head_has_one_dense_layer(rows):
    """6 features x 3 classes and 3 biases make 21 parameters."""
    assert build(rows).count_params() == 6 * 3 + 3


def test_a_hidden_layer_adds_its_parameters(rows):
    """6 x 5 + 5 in the hidden layer, 5 x 3 + 3 in the last."""
    assert build(rows, hidden_units=5).count_params() == 35 + 18


def test_the_seed_decides_the_weights(rows):
    """Seed 0 is a seed like any other."""
    first, again, other = (build(rows, seed=s).get_weights() for s in (0, 0, 1))

    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_standardize_does_not_blow_up_a_constant_feature(rows):
    """A feature that differs once by a little stays small."""
    features = rows.features.copy()
    features[:, :, 0] = 0
    features[0, 0, 0] = 1e-4
    head = build(
        dataclasses.replace(rows, features=features),
        normalization="standardize",
    )
    vector = np.zeros((1, 6), np.float32)
    vector[0, 0] = 1.0

    assert np.asarray(head.get_layer("standardize")(vector))[0, 0] < 20


def test_a_cosine_head_answers_cosines(rows):
    """Divided by the temperature: 0.6 of (3, 4) along the first axis."""
    head = build(rows, temperature=0.1)
    kernel = np.eye(6, 3, dtype=np.float32)
    head.get_layer("cosines").set_weights([kernel])
    features = np.array([[3, 4, 0, 0, 0, 0]], np.float32)

    logits = np.asarray(head(features))

    np.testing.assert_allclose(logits, [[6, 8, 0]], rtol=1e-6)


def test_a_cosine_head_has_no_bias(rows):
    """One vector a class and nothing else."""
    assert build(rows, temperature=0.1).count_params() == 6 * 3
