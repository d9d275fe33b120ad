"""Bytes to pixels: the one place, used by cache, export and predict alike.

All frames of a picture (`embed/views.py`) come from one decode, each cut out
of the picture at full size and resized.

As in the reference: TensorFlow decodes, the EXIF orientation is not applied,
the resize is bilinear without antialiasing, and pixels are float32 in [0, 1].
PIL differs by up to 4 of 255 levels, so that nothing else may decode. What
TensorFlow misreads, or what would fill the memory, the header tells before.
"""

import contextlib
import functools
import hashlib
from collections.abc import Iterable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.decoding.header import Header
from embed.decoding.header import explain_damage
from embed.decoding.header import read_header
from embed.errors import PipelineError
from embed.views import Frame

if TYPE_CHECKING:
    import tensorflow as tf

CHANNELS = 3  # Grey and palette pictures become RGB, transparency is dropped.
# Pillow's own limit: a quarter of a gigabyte of RGB, four times that as
# float32. A file of a few kilobytes may claim thousands of times more.
DEFAULT_MAX_PIXELS = 89_478_485
TENSORFLOW_MAX_PIXELS = 2**29 - 1  # Its decoders refuse more.
# Pictures in one call of TensorFlow, which costs as much as to decode a small
# one. Larger ones go alone: all of a call are in memory at once, in float32.
NUM_TOGETHER = 8
PIXELS_TOGETHER = NUM_TOGETHER * 640 * 480
# How TensorFlow says what it does not read, and what helps.
UNREAD = {
    "WebP Animation must be": "an animated {}: save its first frame",
    "Number of channels requested": (
        "a {} in grey or with transparency, which TensorFlow does not read "
        "as RGB: convert it to PNG"
    ),
}


class ImageDecodeError(PipelineError, ValueError):
    """The bytes are no picture that TensorFlow can decode."""


def decode_and_resize(
    encoded: "tf.Tensor", image_size: tuple[int, int]
) -> "tf.Tensor":
    """Decodes one picture (of a GIF the first frame), inside a graph.

    Args:
        encoded: Scalar string tensor.
        image_size: `(height, width)` in pixels.

    Returns:
        Float32 `(height, width, 3)` in [0, 1].
    """
    (image,) = decode_frames(encoded, [Frame(image_size)])
    return image


def decode_frames(
    encoded: "tf.Tensor", frames: Sequence[Frame]
) -> list["tf.Tensor"]:
    """Decodes one picture once, and cuts frames out of it, inside a graph.

    Args:
        encoded: Scalar string tensor.
        frames: Which.

    Returns:
        Of each frame float32 `(height, width, 3)` in [0, 1].
    """
    import tensorflow as tf

    image = tf.io.decode_image(
        encoded, channels=CHANNELS, expand_animations=False
    )
    image = tf.image.convert_image_dtype(image, tf.float32)
    height, width = tf.unstack(tf.shape(image)[:2])
    pixels = []
    for frame in frames:
        part = image
        if frame.place is not None:
            top, bottom, left, right = frame.find_part(height, width)
            part = image[top:bottom, left:right]
        part = tf.image.resize(part, frame.size, method="bilinear")
        part.set_shape((*frame.size, CHANNELS))
        pixels.append(part)
    return pixels


def digest_content(encoded: bytes) -> bytes:
    """Returns the SHA-256 by which the bytes of a picture are known again."""
    return hashlib.sha256(encoded).digest()


class ImageDecoder:
    """Decodes encoded pictures; safe to call from threads.

    Args:
        image_size: `(height, width)` in pixels of what it returns.
        max_pixels: Of the largest picture it decodes.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.image_size = image_size
        self.max_pixels = max_pixels

    def __call__(
        self, encoded: bytes, header: Header | None = None
    ) -> np.ndarray:
        """Returns float32 pixels `(height, width, 3)` in [0, 1].

        Args:
            encoded: The bytes of a file.
            header: What `read_header` says of them, where it is known.

        Raises:
            ImageDecodeError: If the bytes are no picture, or too large a one.
        """
        (pixels,) = self.decode(encoded, (Frame(self.image_size),), header)
        return pixels

    def decode(
        self,
        encoded: bytes,
        frames: tuple[Frame, ...],
        header: Header | None = None,
    ) -> list[np.ndarray]:
        """Returns frames of a picture, each float32 `(height, width, 3)`.

        Args:
            encoded: The bytes of a file.
            frames: Which; all come from one decode.
            header: What `read_header` says of them, where it is known.

        Raises:
            ImageDecodeError: If the bytes are no picture, or too large a one.
        """
        import tensorflow as tf

        header = header or read_header(encoded)
        if problem := header.problem or self._find_excess(header):
            raise ImageDecodeError(problem)
        try:
            (pixels,) = _decode_together([encoded], frames)
        except tf.errors.InvalidArgumentError as error:
            raise ImageDecodeError(_explain(error.message, header)) from error
        return pixels

    def decode_all(
        self,
        encoded: Sequence[bytes],
        frames: tuple[Frame, ...],
        headers: Sequence[Header],
    ) -> list[list[np.ndarray] | ImageDecodeError]:
        """Decodes several pictures, `NUM_TOGETHER` good ones in one call.

        Args:
            encoded: The bytes of each file.
            frames: Which of each; all come from one decode.
            headers: What `read_header` says of each.

        Returns:
            Of each picture what `decode` returns or raises.
        """
        import tensorflow as tf

        if len(encoded) == NUM_TOGETHER and self._go_together(headers):
            with contextlib.suppress(tf.errors.InvalidArgumentError):
                return [*_decode_together(encoded, frames)]
        found: list[list[np.ndarray] | ImageDecodeError] = []
        for one, header in zip(encoded, headers, strict=True):
            try:
                found.append(self.decode(one, frames, header))
            except ImageDecodeError as error:
                found.append(error)
        return found

    def _go_together(self, headers: Iterable[Header]) -> bool:
        """Tells whether pictures seem good, and fit into memory together."""
        num_pixels = 0
        for header in headers:
            if header.problem or self._find_excess(header):
                return False
            num_pixels += max(
                header.width * header.height, header.num_frame_pixels
            )
        return num_pixels <= PIXELS_TOGETHER

    def _find_excess(self, header: Header) -> str:
        """Says what would take too much memory, before it does."""
        num_pixels = header.width * header.height
        size = f"it has {header.width:,} x {header.height:,} pixels"
        if num_pixels > self.max_pixels:
            return (
                f"{size}, more than the limit of {self.max_pixels:,}: raise it "
                "with `--max-pixels`"
            )
        if num_pixels > TENSORFLOW_MAX_PIXELS:
            return (
                f"{size}, more than the {TENSORFLOW_MAX_PIXELS:,} that "
                "TensorFlow decodes: make it smaller"
            )
        # Unpacked frames take a byte a pixel, the one that is used three.
        if header.num_frame_pixels > CHANNELS * self.max_pixels:
            return (
                f"its frames have {header.num_frame_pixels:,} pixels together, "
                f"more than the limit of {CHANNELS * self.max_pixels:,}: save "
                "its first frame, or raise a third of it with `--max-pixels`"
            )
        return ""


def _decode_together(
    encoded: Sequence[bytes], frames: tuple[Frame, ...]
) -> list[list[np.ndarray]]:
    """Returns of each picture its frames, without a copy of what is decoded.

    Raises:
        tf.errors.InvalidArgumentError: If TensorFlow cannot decode one.
    """
    import tensorflow as tf

    decode = _compiled_decoder(frames, len(encoded))
    pictures = decode(tf.constant(encoded))
    return [[np.asarray(frame) for frame in picture] for picture in pictures]


@functools.cache
def _compiled_decoder(frames: tuple[Frame, ...], num_pictures: int) -> Any:
    """Returns a function of `(num_pictures,)` strings to frames by picture."""
    import tensorflow as tf

    def decode(encoded: "tf.Tensor") -> list[list["tf.Tensor"]]:
        # Beside a GPU too: its resize would round otherwise, and it has work.
        with tf.device("CPU"):
            return [decode_frames(e, frames) for e in tf.unstack(encoded)]

    return tf.function(
        decode, input_signature=[tf.TensorSpec((num_pictures,), tf.string)]
    ).get_concrete_function()


def _explain(message: str, header: Header) -> str:
    """Says in one line why TensorFlow did not decode a picture."""
    for beginning, reason in UNREAD.items():
        if beginning in message:
            return reason.format(header.format)
    return explain_damage(header.format)
