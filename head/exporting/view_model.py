"""A stitched model of whole pictures, which averages any views of them.

A model of pixels has what a resize has left: it can mirror that, and nothing
else. Parts and sizes of their own come from the picture as it was decoded, so
that a model which averages them takes encoded pictures.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embed.backbones.sized import SizedBackbones
from embed.images import CHANNELS
from embed.images import decode_frames
from embed.views import FLIP
from embed.views import PLAIN
from embed.views import Frame
from embed.views import find_view
from head.exporting.formats import FORMATS
from head.exporting.formats import FormatError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

OF_PIXELS = {PLAIN, FLIP}


class ViewModel:
    """Encoded pictures to the mean logits of several views.

    Args:
        backbones: The backbone, at the sizes of the views.
        head: Features to logits.
        views: Names of the views.

    Attributes:
        names: The same.
    """

    def __init__(
        self,
        backbones: SizedBackbones,
        head: "keras.Model",
        views: Sequence[str],
    ) -> None:
        import tensorflow as tf

        backbones.require(views)  # Loaded here: a graph is no place for it.
        self.names = tuple(views)
        size = backbones.backbone.image_size
        self._views = [find_view(name) for name in views]
        self._of_views = [view.frame(size) for view in self._views]
        self._frames = list(dict.fromkeys(self._of_views))
        self._backbones, self._head = backbones, head
        # Out of a graph the output of every layer is kept until the last one:
        # 5 GB for 32 pictures of 224 px.
        self._graph = tf.function(
            self.__call__, input_signature=[tf.TensorSpec((None,), tf.string)]
        )

    def answer(self, encoded: Sequence[bytes]) -> np.ndarray:
        """Returns logits `(num_pictures, num_classes)`."""
        import tensorflow as tf

        logits: np.ndarray = self._graph(tf.constant(list(encoded))).numpy()
        return logits

    def __call__(self, encoded: "tf.Tensor") -> "tf.Tensor":
        """Returns logits of strings `(batch,)`, in a graph or out of one."""
        import tensorflow as tf

        pixels = tf.map_fn(
            lambda one: tuple(decode_frames(one, self._frames)),
            encoded,
            fn_output_signature=tuple(
                tf.TensorSpec((*frame.size, CHANNELS), tf.float32)
                for frame in self._frames
            ),
        )
        of_frames = dict(zip(self._frames, pixels, strict=True))
        logits = []
        for view, frame in zip(self._views, self._of_views, strict=True):
            images = of_frames[frame]
            if view.is_mirrored:
                images = tf.reverse(images, [2])
            features = self._embed(images, frame)
            logits.append(self._head(features, training=False))
        return tf.add_n(logits) / len(logits)

    def _embed(self, images: "tf.Tensor", frame: Frame) -> "tf.Tensor":
        """Runs the backbone at the size of a frame, on one set of weights."""
        import keras

        first = self._backbones.backbone.model
        sized = self._backbones.at(frame.size).model
        if sized is first:
            return first(images, training=False)
        shared = zip(sized.variables, first.variables, strict=True)
        with keras.StatelessScope(
            state_mapping=[(own, of.value) for own, of in shared]
        ):
            return sized(images, training=False)


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
