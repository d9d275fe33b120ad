"""Tests for `tune.comparing.plot`."""

import pytest
from matplotlib.image import imread

from tune.comparing.plot import DOTS_PER_INCH
from tune.comparing.plot import INCHES
from tune.comparing.plot import draw_comparison
from tune.comparing.plot import place


def test_the_picture_shows_something(create_comparison, tmp_path):
    """It has the size that was asked for, and both colours."""
    path = tmp_path / "comparison.png"

    draw_comparison(create_comparison(), path)

    pixels = imread(path)
    width, height = (round(side * DOTS_PER_INCH) for side in INCHES)
    assert pixels.shape[:2] == (height, width)
    for color in ((0, 114, 178), (213, 94, 0)):
        is_color = abs(255 * pixels[..., :3] - color).max(axis=-1) < 2
        assert is_color.sum() > 50


def test_a_rate_that_is_unknown_has_a_place(create_comparison, tmp_path):
    """Left of the slowest; also where none is known at all."""
    comparison = create_comparison(views_per_second=None)
    nothing = [
        found.model_copy(update={"views_per_second": None})
        for found in comparison.caches
    ]

    assert place(comparison.caches) == [178.0, pytest.approx(178 / 1.25)]
    assert len(set(place(nothing))) == 1
    draw_comparison(comparison, tmp_path / "comparison.png")
