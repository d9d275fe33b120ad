"""Tests for `embed.views`."""

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as hnp

from embed.views import VIEW_SETS
from embed.views import VIEWS
from embed.views import flip
from embed.views import plain

image_batches = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=5).map(
        lambda shape: (*shape, 3)
    ),
    elements={"min_value": 0, "max_value": 1},
)


def test_flip_mirrors_left_and_right():
    """Columns change places; rows, channels and images do not."""
    images = np.arange(2 * 2 * 3 * 3).reshape(2, 2, 3, 3).astype(np.float32)

    mirrored = flip(images)

    for column in range(3):
        np.testing.assert_array_equal(
            mirrored[:, :, column], images[:, :, 2 - column]
        )


@given(image_batches)
def test_flip_is_an_involution(images):
    """The mirror of the mirror is the image, bit for bit."""
    np.testing.assert_array_equal(flip(flip(images)), images)


@given(image_batches)
def test_views_keep_shape_and_type(images):
    """Engines take every view as it comes: contiguous and of one shape."""
    for view in VIEWS.values():
        seen = view(images)

        assert seen.shape == images.shape
        assert seen.dtype == images.dtype
        assert seen.flags.c_contiguous


def test_plain_is_the_image():
    """View 0 changes nothing."""
    images = np.random.default_rng(0).random((2, 3, 4, 3), np.float32)

    np.testing.assert_array_equal(plain(images), images)


def test_view_0_is_plain_in_every_set():
    """Whoever takes one view takes the picture itself."""
    for views in VIEW_SETS.values():
        assert views[0] == "plain"
        assert set(views) <= set(VIEWS)
        assert len(set(views)) == len(views)
