"""From pixels in [0, 1] to those that a network was trained on.

`?range=` takes two numbers, `LOW,HIGH`, that black and white become, or the
name of what Keras calls a mode: `caffe`, BGR of 0 to 255 less the mean colour
of ImageNet, and `torch`, RGB less mean and over deviation.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.errors import BackboneError

if TYPE_CHECKING:
    import keras

MAX_PIXEL = 255.0  # `preprocess_input` of every application takes 0 to 255.
NUM_CHANNELS = 3
ADVICE = (
    "Write `?range=0,1`, `?range=-1,1`, `?range=0,255`, or `caffe`, `torch`"
)


@dataclasses.dataclass(frozen=True)
class PixelScaling:
    """What stands between a picture and a network: `scale * pixel + offset`.

    Args:
        scale: Of each channel that the network takes.
        offset: Of each channel that the network takes.
        is_reversed: Whether the network takes BGR.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    is_reversed: bool = False

    @property
    def name(self) -> str:
        """What `?range=` calls it, or `own`."""
        for name, known in MODES.items():
            if self.is_close(known):
                return name
        is_grey = len(set(self.scale)) == len(set(self.offset)) == 1
        if self.is_reversed or not is_grey:
            return "own"
        low, gain = self.offset[0], self.scale[0]
        return f"{low:.6g},{low + gain:.6g}"

    def is_close(self, other: "PixelScaling") -> bool:
        """Tells whether two scale alike."""
        return self.is_reversed == other.is_reversed and np.allclose(
            [*self.scale, *self.offset],
            [*other.scale, *other.offset],
            rtol=1e-3,
            atol=1e-3,
        )

    def undo(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the images from which a network would see these pixels."""
        images = (pixels - np.array(self.offset)) / np.array(self.scale)
        images = images[..., ::-1] if self.is_reversed else images
        return np.ascontiguousarray(images, np.float32)

    def scale_array(self, images: np.ndarray) -> np.ndarray:
        """Returns what a network sees of images in [0, 1]."""
        images = images[..., ::-1] if self.is_reversed else images
        scaled = images * np.array(self.scale) + np.array(self.offset)
        return np.asarray(scaled, np.float32)

    def scale_tensor(self, images: "keras.KerasTensor") -> Any:
        """Adds the layers that scale, where any is needed."""
        import keras

        x = keras.ops.flip(images, axis=-1) if self.is_reversed else images
        if self.scale == (1, 1, 1) and self.offset == (0, 0, 0):
            return x
        layer = keras.layers.Rescaling(
            list(self.scale), list(self.offset), name="pixels"
        )
        return layer(x)


def _between(low: float, high: float) -> PixelScaling:
    return PixelScaling((high - low,) * NUM_CHANNELS, (low,) * NUM_CHANNELS)


UNIT = _between(0.0, 1.0)
# From `keras.applications.imagenet_utils.preprocess_input`.
BGR_MEAN = (103.939, 116.779, 123.68)
MODES = {
    "caffe": PixelScaling(
        (MAX_PIXEL,) * NUM_CHANNELS,
        tuple(-mean for mean in BGR_MEAN),
        is_reversed=True,
    ),
    "torch": PixelScaling(  # Less mean, over deviation.
        (1 / 0.229, 1 / 0.224, 1 / 0.225),
        (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    ),
}
COMMON = {
    "0,1": UNIT,
    "-1,1": _between(-1.0, 1.0),
    "0,255": _between(0.0, MAX_PIXEL),
    **MODES,
}


def parse_range(text: str) -> PixelScaling:
    """Returns the scaling that `?range=` names.

    Raises:
        BackboneError: If it names none.
    """
    if text in MODES:
        return MODES[text]
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise BackboneError(
            f"The pixel range of a backbone makes no sense. Expected: two "
            f"numbers, LOW,HIGH. Received: range={text!r}. {ADVICE}."
        )
    return _between(low, high)


def read_scaling(
    preprocess: Callable[[np.ndarray], np.ndarray],
) -> PixelScaling:
    """Finds out what a function does to pixels of 0 to 255.

    It must be affine in each channel, possibly with the channels reversed:
    black and the three colours then tell all, so that no table of networks
    has to be kept.
    """
    black = np.zeros((1, 1, 1, NUM_CHANNELS), np.float32)
    offset = preprocess(black.copy()).reshape(NUM_CHANNELS)
    colours = MAX_PIXEL * np.eye(NUM_CHANNELS, dtype=np.float32)
    gains = np.stack(
        [
            preprocess(black + colour).reshape(NUM_CHANNELS) - offset
            for colour in colours
        ]
    )
    is_reversed = bool(abs(gains[0, 0]) < abs(gains[0, 2]))
    scale = np.diag(gains[::-1] if is_reversed else gains)
    return PixelScaling(
        tuple(scale.tolist()), tuple(offset.tolist()), is_reversed
    )
