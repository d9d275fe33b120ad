"""Tests for `head.training.mixing`."""

import numpy as np
import pytest

from head.training.mixing import gather_views
from head.training.mixing import mix
from head.training.mixing import partners_of

# Two images of three views each: image 0 has 0, 1, 2 and image 1 has 3, 4, 5.
VECTORS = np.arange(6, dtype=np.float32)[:, np.newaxis]


def gather(views, shares=None, num_views=3):
    """Gathers views of both images, the second one first."""
    places = np.array([1, 0], np.int32)
    views = np.array(views, np.int32)
    if shares is not None:
        shares = np.array(shares, np.float32)
    found = gather_views(VECTORS, places, views, shares, num_views)
    return found.numpy().ravel().tolist()


def test_the_drawn_view_is_taken():
    """View 2 of image 1 and view 1 of image 0."""
    assert gather([2, 1]) == [5, 1]


def test_views_are_mixed_with_the_next_one():
    """After the last view comes the first one."""
    assert gather([2, 1], shares=[0.75, 0.5]) == [4.5, 1.5]


def test_one_view_is_mixed_with_nothing():
    """There is no other."""
    assert gather([0, 0], shares=[0.75, 0.5], num_views=1) == [1, 0]


@pytest.mark.parametrize("num_images", [1, 2, 5, 8])
def test_partners_are_images_of_the_batch(num_images):
    """The next one, and none of the rows that fill a batch up."""
    partners = partners_of(num_images, 8).numpy()[:num_images]

    assert partners.tolist() == [*range(1, num_images), 0]


def test_a_mixture_has_the_share_of_its_own():
    """0.75 of one and 0.25 of the other."""
    own, partners = np.array([[4.0]]), np.array([[8.0]])

    assert mix(own, partners, 0.75) == 5
