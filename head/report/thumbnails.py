"""Small pictures inside the page, as data URIs."""

import base64
from collections.abc import Iterable

import numpy as np

from embed.cache import FeatureCache
from embed.errors import PipelineError
from embed.origin import decode_pictures

PIXELS = 96  # Of the longer side: sharp enough at the size they are shown.
QUALITY = 80  # Of JPEG: 2 to 4 KB a picture.
Key = tuple[str, int]  # Split and row.


def make_thumbnails(
    cache: FeatureCache, wanted: Iterable[Key]
) -> tuple[dict[Key, str], str]:
    """Returns data URIs by split and row, each picture once.

    Args:
        cache: Knows the way to the pictures.
        wanted: Which, in any order.

    Returns:
        The data URIs, and why some are missing, if they are.
    """
    thumbnails: dict[Key, str] = {}
    keys, problem = set(wanted), ""
    for split in sorted({split for split, _ in keys}):
        rows = sorted(row for name, row in keys if name == split)
        image_ids = cache.image_ids(split)
        try:
            images = decode_pictures(cache, split, [image_ids[r] for r in rows])
            for row, image in zip(rows, images, strict=True):
                thumbnails[split, row] = encode_thumbnail(image)
        except (PipelineError, OSError) as error:
            problem = str(error)
    return thumbnails, problem


def encode_thumbnail(image: np.ndarray) -> str:
    """Returns a picture as the data URI of a small JPEG.

    Args:
        image: Pixels `(height, width, 3)` in [0, 1].
    """
    import tensorflow as tf

    height, width = image.shape[:2]
    scale = min(1.0, PIXELS / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = tf.image.resize(image, size, method="area")
    levels = tf.cast(tf.round(tf.clip_by_value(small, 0, 1) * 255), tf.uint8)
    encoded = tf.io.encode_jpeg(levels, quality=QUALITY).numpy()
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()
