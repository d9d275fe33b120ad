"""Tests for `tune.batches`."""

import numpy as np
import tensorflow as tf

from tune.batches import divide

ORDER = [3, 0, 6, 2, 1, 5, 4, 7]


def _divide(num_batches):
    chunk = (
        tf.constant(ORDER),
        tf.constant([0, 1, 0, 1, 0, 1, 0, 1]),
        tf.linspace(0.0, 0.7, len(ORDER)),
        tf.zeros((2 * len(ORDER), 4)),
        tf.range(10, 10 + len(ORDER)),
    )
    return list(
        divide(chunk, batch_size=3, first_step=5, num_batches=num_batches)
    )


def test_each_image_is_before_its_partner():
    """Behind the last one of a batch is the first one, whatever fills it up."""
    [batches] = _divide(num_batches=4)

    assert batches.places.numpy()[:3].tolist() == [
        [3, 0, 6, 3],
        [2, 1, 5, 2],
        [4, 7, 4, 7],
    ]
    np.testing.assert_array_equal(batches.labels, batches.places + 10)
    assert batches.views.numpy()[2].tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(
        batches.shares.numpy()[2], [0.6, 0.7, 0.6, 0.7], rtol=1e-6
    )
    assert batches.weights.numpy().tolist() == [
        [1, 1, 1],
        [1, 1, 1],
        [1, 1, 0],
        [0, 0, 0],
    ]
    assert (batches.num_steps, batches.first_step) == (3, 5)


def test_a_chunk_is_divided_into_pieces_of_one_shape():
    """The last one is filled up, and all steps are there once."""
    first, last = _divide(num_batches=2)

    assert first.places.shape == last.places.shape == (2, 4)
    assert (first.num_steps, last.num_steps) == (2, 1)
    assert (first.first_step, last.first_step) == (5, 7)
    drawn = [
        place
        for piece in (first, last)
        for place, weight in zip(
            piece.places.numpy()[:, :-1].flat,
            piece.weights.numpy().flat,
            strict=True,
        )
        if weight
    ]
    assert drawn == ORDER
