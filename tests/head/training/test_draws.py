"""Tests for `head.training.draws`."""

import numpy as np
import pytest

from head.training.draws import draw_order
from head.training.draws import draw_shares_of_images
from head.training.draws import draw_shares_of_views

NUM_IMAGES = 1000


def test_an_order_holds_every_image_once():
    """Whatever the epoch; views are drawn evenly."""
    order, views = draw_order(NUM_IMAGES, 2, seed=3, epoch=5)

    assert sorted(order) == list(range(NUM_IMAGES))
    assert set(views) == {0, 1}
    assert 0.4 < views.mean() < 0.6


def test_shares_of_views_are_spread_evenly():
    """From 0 to 1, a tenth in each tenth."""
    shares = draw_shares_of_views(NUM_IMAGES, seed=0, epoch=0)

    counts, _ = np.histogram(shares, bins=10, range=(0, 1))
    assert counts.sum() == NUM_IMAGES
    assert counts.min() > 60


@pytest.mark.parametrize("alpha", [0.1, 1.0, 8.0])
def test_shares_of_images_have_a_beta_distribution(alpha):
    """Its mean is 1/2 and its variance 1 / (8 alpha + 4)."""
    shares = draw_shares_of_images(alpha, 20_000, seed=0, epoch=0)

    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / (8 * alpha + 4), rel=0.05)
    assert ((shares >= 0) & (shares <= 1)).all()


def test_no_mixup_leaves_images_alone():
    """Each image is the whole of its mixture."""
    assert (draw_shares_of_images(0.0, 7, seed=0, epoch=0) == 1).all()


@pytest.mark.parametrize(
    "draw",
    [
        lambda **of: draw_order(NUM_IMAGES, 2, **of)[0],
        lambda **of: draw_order(NUM_IMAGES, 2, **of)[1],
        lambda **of: draw_shares_of_views(NUM_IMAGES, **of),
        lambda **of: draw_shares_of_images(0.4, NUM_IMAGES, **of),
    ],
    ids=["order", "views", "shares of views", "shares of images"],
)
def test_seed_and_epoch_decide(draw):
    """The same again, and others for another seed or epoch."""
    first = draw(seed=0, epoch=1)

    np.testing.assert_array_equal(first, draw(seed=0, epoch=1))
    assert not np.array_equal(first, draw(seed=1, epoch=1))
    assert not np.array_equal(first, draw(seed=0, epoch=0))
