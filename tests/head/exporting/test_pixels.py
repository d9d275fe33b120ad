"""Tests for `head.exporting.pixels`."""

import pytest

from head.exporting.formats import FormatError
from head.exporting.pixels import needs_pictures
from head.exporting.pixels import require_formats

MIRROR, MORE = ("plain", "flip"), ("plain", "center+flip")


def test_pixels_give_an_image_and_its_mirror():
    """And no other view, of which they have not the pixels."""
    assert not needs_pictures(("plain",))
    assert not needs_pictures(MIRROR)
    for name in ("center", "scale288", "top-left+flip"):
        assert needs_pictures((*MIRROR, name))


def test_formats_that_can_average_views_are_left():
    """All for the mirror; for others those that decode pictures, or none."""
    assert require_formats(("keras", "savedmodel"), MIRROR) == (
        *("keras", "savedmodel"),
    )
    assert require_formats(("keras", "savedmodel"), MORE) == ("savedmodel",)
    with pytest.raises(FormatError, match=r"keras model.*center\+flip, chosen"):
        require_formats(("keras", "onnx"), MORE)
