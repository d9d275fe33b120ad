"""Bytes to pixels: the one place, used by cache, export and predict alike.

As in the reference: TensorFlow decodes, the EXIF orientation is not applied,
the resize is bilinear without antialiasing, and pixels are float32 in [0, 1].
PIL differs by up to 4 of 255 levels, so that nothing else may decode.
"""

import functools
import hashlib
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.errors import PipelineError

if TYPE_CHECKING:
    import tensorflow as tf

CHANNELS = 3  # Grey and palette pictures become RGB, transparency is dropped.


class ImageDecodeError(PipelineError, ValueError):
    """The bytes are no picture that TensorFlow can decode."""


def decode_and_resize(
    encoded: "tf.Tensor", image_size: tuple[int, int]
) -> "tf.Tensor":
    """Decodes one JPEG, PNG, BMP or GIF (its first frame), inside a graph.

    Args:
        encoded: Scalar string tensor.
        image_size: `(height, width)` in pixels.

    Returns:
        Float32 `(height, width, 3)` in [0, 1].
    """
    import tensorflow as tf

    image = tf.io.decode_image(
        encoded, channels=CHANNELS, expand_animations=False
    )
    image = tf.image.convert_image_dtype(image, tf.float32)
    image = tf.image.resize(image, image_size, method="bilinear")
    image.set_shape((*image_size, CHANNELS))
    return image


def digest_content(encoded: bytes) -> bytes:
    """Returns the SHA-256 by which the bytes of a picture are known again."""
    return hashlib.sha256(encoded).digest()


class ImageDecoder:
    """Decodes encoded pictures one at a time; safe to call from threads.

    Args:
        image_size: `(height, width)` in pixels of what it returns.
    """

    def __init__(self, image_size: tuple[int, int]) -> None:
        self.image_size = image_size
        self._function = _compiled_decoder(image_size)

    def __call__(self, encoded: bytes) -> np.ndarray:
        """Returns float32 pixels `(height, width, 3)` in [0, 1].

        Raises:
            ImageDecodeError: If the bytes are no picture.
        """
        import tensorflow as tf

        if not encoded:
            raise ImageDecodeError("the file is empty")
        try:
            pixels: np.ndarray = self._function(tf.constant(encoded)).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise ImageDecodeError(_first_sentence(error.message)) from error
        return pixels


@functools.cache
def _compiled_decoder(image_size: tuple[int, int]) -> Any:
    import tensorflow as tf

    return tf.function(
        lambda encoded: decode_and_resize(encoded, image_size),
        input_signature=[tf.TensorSpec((), tf.string)],
    ).get_concrete_function()


def _first_sentence(message: str) -> str:
    """Cuts TensorFlow's message out from between its graph nodes."""
    for line in message.splitlines():
        text = line.partition("[[")[0].rpartition("}}")[2].strip()
        if text and not text.startswith(("Graph execution", "Detected at")):
            return text.rstrip(". ")
    return "it cannot be decoded"
