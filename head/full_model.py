"""A full model: backbone and head as one, with all that an export carries."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.cache import FeatureCache
from embed.origin import decoder_of
from embed.origin import read_pictures
from embed.splits import sample_rows

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# The tensors of every format but Keras's own, which answers logits alone.
IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
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
    """

    model: "keras.Model"
    plain: "keras.Model"
    is_mirrored_too: bool
    documents: dict[str, str]
    cache: FeatureCache

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the logits."""
        return self.cache.spec.class_names

    def read_calibration_images(self) -> Iterator[np.ndarray]:
        """Yields train images, by which the ranges of 8 bits are set.

        They are those of smallest hash, float32 `(height, width, 3)` in
        [0, 1].

        Raises:
            SourceError: If the pictures are not there any more.
        """
        image_ids = self.cache.image_ids("train")
        rows = sample_rows(image_ids, NUM_CALIBRATION_IMAGES, "calibration")
        decoder = decoder_of(self.cache)
        wanted = [image_ids[row] for row in rows]
        for encoded in read_pictures(self.cache, "train", wanted):
            yield decoder(encoded)

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
        frozen = self._freeze(tf.TensorSpec(shape, tf.float32))
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

    def _freeze(self, spec: "tf.TensorSpec") -> Any:
        """Returns a concrete function without variables, to logits."""
        import keras
        import tensorflow as tf
        from tensorflow.python.framework import convert_to_constants

        plain = self.plain
        values = [(variable, variable.numpy()) for variable in plain.variables]

        @tf.function(input_signature=[spec])
        def forward(images: Any) -> Any:
            if self.is_mirrored_too:
                both = tf.stack([images, tf.reverse(images, [2])], axis=1)
                images = tf.reshape(both, (-1, *spec.shape[1:]))
            # Constants from the start: to convert them takes half a second.
            constants = [(v, tf.constant(value)) for v, value in values]
            with keras.StatelessScope(state_mapping=constants):
                logits = plain(images, training=False)
            if not self.is_mirrored_too:
                return logits
            of_both = tf.reshape(logits, (-1, 2, len(self.class_names)))
            return tf.reduce_mean(of_both, axis=1)

        concrete = forward.get_concrete_function()
        if not concrete.captured_inputs:
            return concrete
        # A SavedModel inside keeps variables that Keras does not know.
        return convert_to_constants.convert_variables_to_constants_v2(concrete)
