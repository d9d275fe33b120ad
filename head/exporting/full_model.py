"""A full model: backbone and head as one, with all that an export carries."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from embed.cache import FeatureCache
from embed.engines.engine import freeze_function
from embed.origin import decode_pictures
from embed.splits import sample_rows

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from head.view_model import ViewModel

# The tensors of every format but Keras's own, which answers logits alone.
IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
ENCODED = "encoded"  # Instead of images, where a SavedModel decodes them.
# With 32 and with 512 the accuracy in 8 bits was the same within a point.
NUM_CALIBRATION_IMAGES = 128


@dataclasses.dataclass(frozen=True)
class FullModel:
    """A stitched model with its documents.

    Args:
        model: float32 images `(batch, height, width, 3)` in [0, 1] to logits
            `(batch, num_classes)`.
        plain: The same without the mirror.
        is_mirrored_too: Whether the model averages each image and its mirror.
        documents: Text by file name, which every format holds inside.
        cache: The one that its head was made on.
        of_views: What answers encoded pictures instead, where views are
            averaged that pixels do not give.
    """

    model: "keras.Model"
    plain: "keras.Model"
    is_mirrored_too: bool
    documents: dict[str, str]
    cache: FeatureCache
    of_views: "ViewModel | None" = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the logits."""
        return self.cache.spec.class_names

    def read_calibration_images(self) -> Iterator[np.ndarray]:
        """Returns train images, by which the ranges of 8 bits are set.

        They are those of smallest hash, float32 `(height, width, 3)` in
        [0, 1].

        Raises:
            SourceError: If the pictures are not there any more.
        """
        image_ids = self.cache.image_ids("train")
        rows = sample_rows(image_ids, NUM_CALIBRATION_IMAGES, "calibration")
        return decode_pictures(
            self.cache, "train", [image_ids[row] for row in rows]
        )

    def freeze(self, batch_size: int | None) -> "tf.compat.v1.GraphDef":
        """Returns the model as a graph whose variables are constants.

        Its nodes `images`, `logits` and `probabilities` are what it takes and
        answers. Image and mirror go through the backbone side by side: where
        it is in the graph twice, each weight is quantised twice, and in 8 bits
        3.9 points of accuracy were lost (pets), where none are so.

        Args:
            batch_size: Images a call; `None` for any number.
        """
        import tensorflow as tf

        shape = (batch_size, *self.model.input_shape[1:])
        frozen = freeze_function(self._answer, self.plain, shape)
        (entry,), (result,) = frozen.inputs, frozen.outputs
        with tf.Graph().as_default() as graph:
            images = tf.compat.v1.placeholder(tf.float32, shape, IMAGES)
            (logits,) = tf.graph_util.import_graph_def(
                frozen.graph.as_graph_def(),
                {entry.op.name: images},
                [result.name],
                name="",
            )
            tf.identity(logits, LOGITS)
            tf.nn.softmax(logits, name=PROBABILITIES)
        return graph.as_graph_def()

    def _answer(self, images: "tf.Tensor") -> "tf.Tensor":
        """Returns the logits of images, inside a graph."""
        import tensorflow as tf

        if not self.is_mirrored_too:
            return self.plain(images, training=False)
        both = tf.stack([images, tf.reverse(images, [2])], axis=1)
        side_by_side = tf.reshape(both, (-1, *self.model.input_shape[1:]))
        logits = self.plain(side_by_side, training=False)
        of_both = tf.reshape(logits, (-1, 2, len(self.class_names)))
        return tf.reduce_mean(of_both, axis=1)
