"""Tests for `embed.views`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embed.views import PLACES
from embed.views import Frame
from embed.views import ViewError
from embed.views import find_view
from embed.views import frames_of
from embed.views import parse_views

MIRRORS = ("flip", "center+flip", "top-left+flip", "scale288+flip")

image_batches = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=5).map(
        lambda shape: (*shape, 3)
    ),
    elements={"min_value": 0, "max_value": 1},
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("plain", ("plain",)),
        ("flip", ("plain", "flip")),
        ("plain,flip", ("plain", "flip")),
        ("plain, center , center+flip", ("plain", "center", "center+flip")),
        ("plain,scale288+flip", ("plain", "scale288+flip")),
        (
            "plain,corners",
            (
                *("plain", "bottom-left", "bottom-right"),
                *("top-left", "top-right"),
            ),
        ),
        (
            "plain,corners+flip",
            (
                *("plain", "bottom-left+flip", "bottom-right+flip"),
                *("top-left+flip", "top-right+flip"),
            ),
        ),
    ],
)
def test_lists_of_views(text, names):
    """Columns are in the order of the list, and `flip` alone is both."""
    assert parse_views(text) == names


@pytest.mark.parametrize(
    "text",
    [
        *("", "plain,", "plain,middle", "plain,plain+flip", "plain,flip+flip"),
        *("plain,scale", "plain,scale0", "plain,scale-5", "plain,scale12345"),
        *("plain,Center", "plain,center+flip+flip", "plain,scale1٣"),
    ],
)
def test_unknown_views_are_refused_with_the_choices(text):
    """One line names what there is, sorted."""
    with pytest.raises(
        ViewError,
        match=r"no view .*\['bottom-left', .*'center', 'center\+flip', "
        r"'corners', .*'flip', 'plain', 'scaleN', .*--views plain",
    ) as caught:
        parse_views(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["plain,plain", "plain,flip,flip", "plain,top-left,corners"]
)
def test_a_view_is_there_once(text):
    """A column that is there twice would be drawn twice as often."""
    with pytest.raises(ViewError, match=r"is there twice.*'center', 'center"):
        parse_views(text)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("center", "plain,center"),
        ("flip,plain", "plain,flip"),
        ("flip,center", "plain,flip,center"),
    ],
)
def test_view_0_is_the_picture_itself(text, mended):
    """Whoever takes one view takes the picture; the error has the mended."""
    with pytest.raises(ViewError, match=f"plain first.*`--views {mended}`"):
        parse_views(text)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("plain", (0, 11, 0, 20)),
        ("flip", (0, 11, 0, 20)),
        ("scale32", (0, 11, 0, 20)),
        ("center", (1, 10, 2, 18)),
        ("center+flip", (1, 10, 2, 18)),
        ("top-left", (0, 9, 0, 16)),
        ("top-right", (0, 9, 4, 20)),
        ("bottom-left", (2, 11, 0, 16)),
        ("bottom-right+flip", (2, 11, 4, 20)),
    ],
)
def test_parts_have_four_fifths_of_each_side(name, part):
    """Of 11 x 20 pixels 9 x 16, the parts that are left over rounded down."""
    assert find_view(name).frame((8, 8)).find_part(11, 20) == part


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([*PLACES]))
def test_parts_lie_in_the_picture(height, width, name):
    """Also in a picture of one pixel, of which something is left."""
    frame = find_view(name).frame((8, 8))
    top, bottom, left, right = frame.find_part(height, width)

    assert 0 <= top < bottom <= height
    assert 0 <= left < right <= width
    assert bottom - top == height - height // 5


def test_frames_of_views_are_decoded_once():
    """In the order in which views come first, with their sizes in bytes."""
    frames = frames_of(["plain", "flip", "scale9+flip", "scale9"], (4, 6))

    assert [frame.size for frame in frames] == [(4, 6), (9, 9)]
    assert [frame.num_bytes for frame in frames] == [4 * 6 * 12, 9 * 9 * 12]


def test_a_view_shares_its_frame_with_its_mirror():
    """One resize for both, at the size at which the backbone runs."""
    assert find_view("center").frame((8, 8)) == Frame((8, 8), (1, 1))
    assert find_view("center+flip").frame((8, 8)) == Frame((8, 8), (1, 1))
    assert find_view("scale12").frame((8, 8)) == Frame((12, 12))
    assert find_view("scale12+flip").frame((8, 8)) == Frame((12, 12))
    assert find_view("flip").frame((8, 4)) == Frame((8, 4))


@pytest.mark.parametrize("name", MIRRORS)
def test_mirrors_change_left_and_right(name):
    """Columns change places; rows, channels and images do not."""
    images = np.arange(2 * 2 * 3 * 3).reshape(2, 2, 3, 3).astype(np.float32)

    mirrored = find_view(name).turn(images)

    for column in range(3):
        np.testing.assert_array_equal(
            mirrored[:, :, column], images[:, :, 2 - column]
        )


@given(image_batches, st.sampled_from(MIRRORS))
def test_a_mirror_is_an_involution(images, name):
    """The mirror of the mirror is the image, bit for bit."""
    view = find_view(name)

    np.testing.assert_array_equal(view.turn(view.turn(images)), images)


@given(image_batches, st.sampled_from(["plain", *MIRRORS]))
def test_views_keep_shape_and_type(images, name):
    """Engines take every view as it comes: contiguous and of one shape."""
    seen = find_view(name).turn(images)

    assert seen.shape == images.shape
    assert seen.dtype == images.dtype
    assert seen.flags.c_contiguous


@pytest.mark.parametrize("name", ["plain", "center", "scale9", "top-right"])
def test_what_is_no_mirror_changes_no_pixel(name):
    """The frame is the view."""
    images = np.random.default_rng(0).random((2, 3, 4, 3), np.float32)

    np.testing.assert_array_equal(find_view(name).turn(images), images)
