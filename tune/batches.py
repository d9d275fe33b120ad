"""The batches that heads train on side by side, drawn once for all of them.

Heads of one seed see the same images and views in the same order, and their
dropout decides by the same random bytes, as each would alone. So rows are
gathered, normalised and drawn for once, however many heads there are.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from head.training.dropout import draw_bytes
from head.training.feed import Chunk

# Of features, prepared at a time in each way in which heads may want them: to
# start a head on less takes as long as some of its steps.
MOST_BYTES = 32 * 2**20


@dataclasses.dataclass(frozen=True)
class Batches:
    """Some batches of an epoch, of one number and size.

    What fills up the last batch are its own images once more, and behind each
    batch comes its first image: so each is before that which mixup mixes it
    with, as in `head.training.mixing`.

    Args:
        vectors: `(num_rows * num_views, feature_dim)`; those drawn are among
            them.
        places: Of the images drawn, int32 `(num_batches, batch_size + 1)`.
        views: Drawn of each, int32 `(num_batches, batch_size + 1)`.
        shares: Of that view in a mixture `(num_batches, batch_size + 1)`.
        labels: int32 `(num_batches, batch_size + 1)`.
        weights: 1, and 0 for what fills up `(num_batches, batch_size)`.
        num_steps: Batches that are more than filling.
        first_step: Number of the first one in the training, from 0.
    """

    vectors: tf.Tensor
    places: tf.Tensor
    views: tf.Tensor
    shares: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor
    num_steps: int
    first_step: int

    def draw_bytes(self, seed: int, size: int) -> tf.Tensor:
        """Draws what dropout decides by.

        Args:
            seed: Of the layer.
            size: Number of its inputs.

        Returns:
            uint8 `(num_batches, batch_size, size)`.
        """
        num_batches, batch_size = self.weights.shape
        return _draw_bytes(
            tf.constant(seed, tf.uint32),
            self.first_step + tf.range(num_batches),
            tf.constant([batch_size, size]),
        )


def divide(
    chunk: Chunk,
    *,
    batch_size: int,
    first_step: int,
    num_batches: int,
) -> Iterator[Batches]:
    """Divides a chunk of training rows.

    Args:
        chunk: What `head.training.feed` yields.
        batch_size: Images a batch.
        first_step: Number of the chunk's first step in the training.
        num_batches: Batches to prepare at a time.
    """
    order, views, shares, vectors, labels = chunk
    num_rows = len(order)
    rows_each = num_batches * batch_size
    columns = order, views, shares, tf.gather(labels, order)
    for start in range(0, num_rows, rows_each):
        stop = min(start + rows_each, num_rows)
        firsts = start + batch_size * np.arange(num_batches)
        sizes = np.clip(stop - firsts, 0, batch_size)[:, np.newaxis]
        numbers = np.arange(batch_size + 1)
        drawn = np.minimum(firsts, stop - 1)[:, np.newaxis]
        drawn = drawn + numbers % np.maximum(sizes, 1)
        places, view, share, label = (tf.gather(of, drawn) for of in columns)
        yield Batches(
            vectors=vectors,
            places=places,
            views=view,
            shares=share,
            labels=label,
            weights=tf.constant(numbers[:-1] < sizes, tf.float32),
            num_steps=-(-(stop - start) // batch_size),
            first_step=first_step + start // batch_size,
        )


def count_batches(num_images: int, batch_size: int, feature_dim: int) -> int:
    """Returns how many batches to prepare at a time.

    Args:
        num_images: Of an epoch.
        batch_size: Images a batch.
        feature_dim: Number of features a vector.
    """
    batch_bytes = 4 * batch_size * feature_dim  # In float32.
    return min(max(MOST_BYTES // batch_bytes, 1), -(-num_images // batch_size))


@tf.function(
    autograph=False,
    input_signature=[  # Of any size, so that it is traced once.
        tf.TensorSpec((), tf.uint32),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((2,), tf.int32),
    ],
)
def _draw_bytes(
    seed: tf.Tensor, steps: tf.Tensor, shape: tf.Tensor
) -> tf.Tensor:
    return tf.map_fn(
        lambda step: draw_bytes(
            tf.stack([seed, tf.cast(step, tf.uint32)]), shape
        ),
        steps,
        fn_output_signature=tf.TensorSpec((None, None), tf.uint8),
    )
