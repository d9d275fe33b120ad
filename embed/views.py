"""Views: the deterministic variants of an image that are embedded.

View 0 is the image itself, view 1 its mirror. A view is a function of the
decoded picture, so that all views of an image come from one decode.
"""

from collections.abc import Callable

import numpy as np

View = Callable[[np.ndarray], np.ndarray]


def plain(images: np.ndarray) -> np.ndarray:
    """Returns the images `(num_images, height, width, 3)` as they are."""
    return images


def flip(images: np.ndarray) -> np.ndarray:
    """Returns the images `(num_images, height, width, 3)` mirrored."""
    return np.ascontiguousarray(images[:, :, ::-1])


VIEWS: dict[str, View] = {"plain": plain, "flip": flip}

# What `--views` accepts, and the views that each choice embeds.
VIEW_SETS: dict[str, tuple[str, ...]] = {
    "plain": ("plain",),
    "flip": ("plain", "flip"),
}
