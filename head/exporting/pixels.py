"""Which views a model of pixels averages, and which formats average more.

A model of pixels has what a resize has left: it can mirror that, and nothing
else. Parts and sizes of their own come from the picture as it was decoded.
"""

from collections.abc import Iterable
from collections.abc import Sequence

from embed.views import FLIP
from embed.views import PLAIN
from head.exporting.formats import FORMATS
from head.exporting.formats import FormatError

OF_PIXELS = {PLAIN, FLIP}


def needs_pictures(views: Iterable[str]) -> bool:
    """Tells whether views cannot be had from the pixels of the plain one."""
    return not set(views) <= OF_PIXELS


def require_formats(
    names: Sequence[str], views: Sequence[str]
) -> tuple[str, ...]:
    """Returns the formats that can average views.

    Args:
        names: Of formats.
        views: Names of the views.

    Raises:
        FormatError: If none can.
    """
    if not needs_pictures(views):
        return tuple(names)
    able = tuple(name for name in names if FORMATS[name].takes_encoded)
    if not able:
        raise refuse_pixels(names[0], views)
    return able


def refuse_pixels(name: str, views: Sequence[str]) -> FormatError:
    """Returns the error of a format that takes pixels.

    Args:
        name: Of the format.
        views: Names of the views that are to be averaged.
    """
    able = ",".join(n for n in FORMATS if FORMATS[n].takes_encoded)
    return FormatError(
        f"The {name} model takes pixels of one size, which it can mirror and "
        "nothing else. Expected: plain and flip as the views to average. "
        f"Received: {', '.join(views)}, chosen on validation images. Export "
        f"`--format {able}`, which takes whole pictures, or leave out `--tta`."
    )
