"""Views: the deterministic variants of a picture that are embedded.

Each is what `--views` calls it, for good: the name stands in the fingerprint.

    plain         the whole picture, at the input size of the backbone; view 0
    center        its middle, four fifths of each side
    top-left, top-right, bottom-left, bottom-right
                  its corners, four fifths of each side
    scaleN        the whole picture at N px, a size at which the backbone runs
    flip          the mirror of plain
    NAME+flip     the mirror of any other

A frame is what a view and its mirror share: a part of the picture as it was
decoded, at full size, and then resized. The mirror is one of those pixels. So
all views of a picture come from one decode.
"""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from embed.errors import PipelineError

PLAIN, FLIP = "plain", "flip"
MIRRORED = "+flip"
# Where a part lies: halves of what is left over that are above and left of it.
PLACES = {
    "bottom-left": (2, 0),
    "bottom-right": (2, 2),
    "center": (1, 1),
    "top-left": (0, 0),
    "top-right": (0, 2),
}
CORNERS = "corners"  # Short for four views, each with a column of its own.
LEFT_OUT = 5  # A part leaves out the fifth part of each side.
PIXEL_BYTES = 12  # Three colours of float32.
SCALE = re.compile(r"scale([1-9][0-9]{0,3})")


class ViewError(PipelineError, ValueError):
    """The views are none that can be embedded."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """The pixels that a view shares with its mirror.

    Args:
        size: `(height, width)` in pixels after the resize.
        place: Where the part lies, see `PLACES`; `None` for the whole picture.
    """

    size: tuple[int, int]
    place: tuple[int, int] | None = None

    @property
    def num_bytes(self) -> int:
        """Size of its pixels."""
        return self.size[0] * self.size[1] * PIXEL_BYTES

    def find_part(self, height: Any, width: Any) -> tuple[Any, Any, Any, Any]:
        """Returns the part as top, bottom, left and right, in pixels.

        Args:
            height: Of the picture, a number or a tensor.
            width: The same.
        """
        if self.place is None:
            return 0, height, 0, width
        spans = []
        for side, halves in zip((height, width), self.place, strict=True):
            left_over = side // LEFT_OUT
            start = left_over * halves // 2
            spans += [start, start + side - left_over]
        top, bottom, left, right = spans
        return top, bottom, left, right


@dataclasses.dataclass(frozen=True)
class View:
    """A view, as its name says.

    Args:
        name: E.g. `"center+flip"`.
        place: Where its part lies, see `PLACES`; `None` for the whole picture.
        side: Height and width at which the backbone runs; `None` for the
            input size of the cache.
        is_mirrored: Whether left and right change places.
    """

    name: str
    place: tuple[int, int] | None = None
    side: int | None = None
    is_mirrored: bool = False

    def frame(self, image_size: tuple[int, int]) -> Frame:
        """Returns what is decoded for it.

        Args:
            image_size: `(height, width)` of the cache, in pixels.
        """
        size = (self.side, self.side) if self.side else image_size
        return Frame(size, self.place)

    def turn(self, images: np.ndarray) -> np.ndarray:
        """Returns the pixels of its frame as it shows them.

        Args:
            images: `(..., height, width, 3)`.
        """
        return mirror(images) if self.is_mirrored else images


def mirror(images: np.ndarray) -> np.ndarray:
    """Returns images whose left and right change places.

    Args:
        images: `(..., height, width, 3)`.
    """
    columns = np.arange(images.shape[-2])[::-1]
    return np.take(images, columns, axis=-2)  # Twice as fast as a slice.


def frames_of(
    views: Iterable[str], image_size: tuple[int, int]
) -> tuple[Frame, ...]:
    """Returns what is decoded for some views, each frame once.

    Args:
        views: Their names.
        image_size: `(height, width)` of the cache, in pixels.
    """
    found = (find_view(name).frame(image_size) for name in views)
    return tuple(dict.fromkeys(found))


def find_view(name: str) -> View:
    """Returns the view of a name.

    Raises:
        ViewError: If there is none.
    """
    if name == FLIP:
        return View(name, is_mirrored=True)
    base = name.removesuffix(MIRRORED)
    is_mirrored = base != name
    if base in PLACES:
        return View(name, place=PLACES[base], is_mirrored=is_mirrored)
    if scale := SCALE.fullmatch(base):
        return View(name, side=int(scale[1]), is_mirrored=is_mirrored)
    if name != PLAIN:
        raise ViewError(f"There is no view {name!r}. {_choices()}")
    return View(name)


def parse_views(text: str) -> tuple[str, ...]:
    """Reads what `--views` says: names by commas, the plain one first.

    `flip` alone is short for `plain,flip`, and `corners` for all four.

    Raises:
        ViewError: If a name is unknown or there twice, or another comes first.
    """
    if text == FLIP:
        return PLAIN, FLIP
    names: list[str] = []
    for word in text.split(","):
        name = word.strip()
        base = name.removesuffix(MIRRORED)
        if base == CORNERS:
            rest = name.removeprefix(CORNERS)
            names += [f"{place}{rest}" for place in PLACES if "-" in place]
        else:
            names.append(name)
    require_views(names)
    return tuple(names)


def require_views(names: Iterable[str]) -> None:
    """Refuses what are no views, or not in an order that others rely on.

    Raises:
        ViewError: If a name is unknown or there twice, or another comes first.
    """
    names = list(names)
    for place, name in enumerate(names):
        find_view(name)
        if name in names[:place]:
            raise ViewError(f"The view {name} is there twice. {_choices()}")
    if names[:1] != [PLAIN]:
        raise ViewError(
            "The views do not start with the picture itself. Expected: "
            f"{PLAIN} first. Received: {','.join(names)}. Run again with "
            f"`--views {','.join([PLAIN, *(n for n in names if n != PLAIN)])}`."
        )


def _choices() -> str:
    names = sorted({*PLACES, CORNERS, "scaleN"})
    names = sorted([PLAIN, FLIP, *names, *(n + MIRRORED for n in names)])
    return (
        f"Expected: names by commas, each once, of {names}, N being pixels. "
        f"Run again with e.g. `--views {PLAIN},{FLIP},center,center+flip`."
    )
