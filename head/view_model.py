"""A stitched model of whole pictures: views of each, at sizes of their own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embed.backbones.sized import SizedBackbones
from embed.images import CHANNELS
from embed.images import ImageDecoder
from embed.images import decode_frames
from embed.views import Frame
from embed.views import find_view

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class ViewModel:
    """Encoded pictures to the logits of several views.

    Args:
        backbones: The backbone, at the sizes of the views.
        head: Features to logits.
        views: Names of the views.
        decoder: What decodes pictures out of a graph.

    Attributes:
        names: Those of the views.
    """

    def __init__(
        self,
        backbones: SizedBackbones,
        head: "keras.Model",
        views: Sequence[str],
        decoder: ImageDecoder,
    ) -> None:
        import tensorflow as tf

        backbones.require(views)  # Loaded here: a graph is no place for it.
        self.names = tuple(views)
        size = backbones.backbone.image_size
        self._views = [find_view(name) for name in views]
        self._of_views = [view.frame(size) for view in self._views]
        self._frames = tuple(dict.fromkeys(self._of_views))
        self._backbones, self._head = backbones, head
        self._decoder = decoder
        # Out of a graph the output of every layer is kept until the last one:
        # 4 GB for 32 pictures of 224 px, where in a graph it is one.
        self._graph = tf.function(
            self._answer_frames,
            input_signature=[
                tf.TensorSpec((None, *frame.size, CHANNELS), tf.float32)
                for frame in self._frames
            ],
        )

    def answer(self, encoded: Sequence[bytes]) -> np.ndarray:
        """Returns logits `(num_pictures, num_views, num_classes)`.

        Raises:
            ImageDecodeError: If one is no picture, or too large.
        """
        # One by one: of a batch that is decoded at once, all are in memory.
        decoded = [self._decoder.decode(one, self._frames) for one in encoded]
        pixels = map(np.stack, zip(*decoded, strict=True))
        logits: np.ndarray = self._graph(*pixels).numpy()
        return logits

    def __call__(self, encoded: "tf.Tensor") -> "tf.Tensor":
        """Returns the mean logits of strings `(batch,)`, inside a graph."""
        import tensorflow as tf

        pixels = tf.map_fn(
            lambda one: tuple(decode_frames(one, self._frames)),
            encoded,
            fn_output_signature=tuple(
                tf.TensorSpec((*frame.size, CHANNELS), tf.float32)
                for frame in self._frames
            ),
        )
        return tf.reduce_mean(self._answer_frames(*pixels), axis=1)

    def _answer_frames(self, *pixels: "tf.Tensor") -> "tf.Tensor":
        """Returns the logits of each view, inside a graph."""
        import tensorflow as tf

        of_frames = dict(zip(self._frames, pixels, strict=True))
        logits = []
        for view, frame in zip(self._views, self._of_views, strict=True):
            images = of_frames[frame]
            if view.is_mirrored:
                images = tf.reverse(images, [2])
            features = self._embed(images, frame)
            logits.append(self._head(features, training=False))
        return tf.stack(logits, axis=1)

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
