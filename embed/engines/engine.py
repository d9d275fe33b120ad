"""An engine: a backbone converted for fast inference in batches of one size.

Streams share the work of a processor: each is one thread that runs batches of
its own, from start to end, and waits for no other. Small batches stay in the
processor's caches. On 2 cores two streams of one image each are a fifth
faster than two threads that divide the operations of a batch of 32.
"""

import abc
import functools
import queue
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.backbones import Backbone
from embed.devices import num_cpu_threads
from embed.views import mirror

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

MOST_IMAGES = 256  # A batch: a whole block; what is more would be padding.
# Of a block, at least: streams that are done with it wait for the others.
BATCHES_A_STREAM = 4

# Runs one batch, float32 `(batch_size, height, width, 3)`, to features.
Stream = Callable[[np.ndarray], np.ndarray]


class Engine(abc.ABC):
    """Computes features in batches of a static size; safe to call in threads.

    Args:
        backbone: What to run.
        batch_size: Images a batch, `MOST_IMAGES` at most; a static shape is a
            third faster. Default: as many as have `pixels_a_batch`, fewer
            where there are so many cores that some would wait for others.
    """

    name: str
    pixels_a_batch: int  # Measured with MobileNetV2 at 224 and 96 px.
    # Whether a block is begun before the last is whole. Else streams that are
    # done wait for the others; but a kill costs two blocks, not one.
    runs_ahead = False

    def __init__(self, backbone: Backbone, batch_size: int | None) -> None:
        height, width = backbone.image_size
        most = self.pixels_a_batch // (height * width)
        if not self.runs_ahead:
            num_batches = BATCHES_A_STREAM * num_cpu_threads()
            most = min(most, MOST_IMAGES // num_batches)
        self.batch_size = min(batch_size or _divide_evenly(most), MOST_IMAGES)
        self.num_streams = 0  # Calls that run at the same time.
        self.input_shape = (self.batch_size, height, width, 3)
        self._feature_dim = backbone.feature_dim
        self._streams: queue.SimpleQueue[Stream] = queue.SimpleQueue()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the features of any number of images, batch by batch.

        Args:
            images: float32 `(num_images, height, width, 3)` in [0, 1].

        Returns:
            float32 `(num_images, feature_dim)`.
        """
        return self.embed_views(images, [False])[:, 0]

    def embed_views(
        self, images: np.ndarray, are_mirrored: Sequence[bool]
    ) -> np.ndarray:
        """Returns the features of views that share their pixels.

        Args:
            images: float32 `(num_images, height, width, 3)` in [0, 1].
            are_mirrored: By view, whether it is the mirror of these.

        Returns:
            float32 `(num_images, num_views, feature_dim)`.
        """
        shape = len(images), len(are_mirrored), self._feature_dim
        features = np.empty(shape, np.float32)
        run = self._streams.get()
        try:
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size]
                stop = start + len(batch)
                of_views = self._run_views(run, self._pad(batch), are_mirrored)
                for view, of_view in enumerate(of_views):
                    features[start:stop, view] = of_view[: len(batch)]
        finally:
            self._streams.put(run)
        return features

    def _run_views(
        self, run: Stream, batch: np.ndarray, are_mirrored: Sequence[bool]
    ) -> Iterable[np.ndarray]:
        """Runs a batch of full size, as it is or as its mirror, by view.

        What is yielded may be overwritten by the next.
        """
        return (run(mirror(batch) if m else batch) for m in are_mirrored)

    def _add_stream(self, run: Stream) -> None:
        """Lets one more call run at the same time."""
        self._streams.put(run)
        self.num_streams += 1

    def _pad(self, batch: np.ndarray) -> np.ndarray:
        """Returns a batch of full size; what is added is zero."""
        missing = self.batch_size - len(batch)
        if not missing:
            return batch
        padding = np.zeros((missing, *batch.shape[1:]), np.float32)
        return np.concatenate([batch, padding])


def _divide_evenly(most: int) -> int:
    """Returns a number of images of which a block has no much smaller rest."""
    num_batches = -(-MOST_IMAGES // max(most, 1))
    return -(-MOST_IMAGES // num_batches)


# Kept, since it takes a second, for the next engine that is tried.
@functools.lru_cache(maxsize=1)
def freeze(
    backbone: Backbone, input_shape: tuple[int, ...]
) -> "tf.types.experimental.ConcreteFunction":
    """Returns the backbone as a graph whose variables are constants."""
    return freeze_function(
        lambda images: backbone.model(images, training=False),
        backbone.model,
        input_shape,
    )


def freeze_function(
    function: Callable[[Any], Any],
    model: "keras.Model",
    input_shape: tuple[int | None, ...],
) -> "tf.types.experimental.ConcreteFunction":
    """Returns a function of images as a graph without variables.

    Args:
        function: What calls the model.
        model: Whose variables become constants.
        input_shape: Of the images, float32; `None` where it is left open.
    """
    import keras
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    values = [(v, v.numpy()) for v in model.variables]

    @tf.function(input_signature=[tf.TensorSpec(input_shape, tf.float32)])
    def forward(images: Any) -> Any:
        # Constants from the start: to convert variables takes half a second.
        constants = [(v, tf.constant(value)) for v, value in values]
        with keras.StatelessScope(state_mapping=constants):
            return function(images)

    concrete = forward.get_concrete_function()
    if not concrete.captured_inputs:
        return concrete
    # A SavedModel inside keeps variables that Keras does not know.
    return convert_to_constants.convert_variables_to_constants_v2(concrete)
