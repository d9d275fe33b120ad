"""The batches that heads train on side by side, drawn once for all of them.

Heads of one seed see the same images and views in the same order, and their
dropout decides by the same random bytes, as each would alone. So rows are
gathered, normalised and drawn for once, however many heads there are.
"""

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from head.training.dropout import draw_bytes
from head.training.feed import Chunk
from head.training.mixing import partners_of

# Of features, prepared at a time in each way in which heads may want them: to
# start a head on less takes as long as some of its steps.
MOST_BYTES = 32 * 2**20


@dataclasses.dataclass(frozen=True)
class Batches:
    """Some batches of an epoch, of one number and size.

    Args:
        vectors: `(num_rows * num_views, feature_dim)`; those drawn are among
            them.
        places: Of the images drawn, int32 `(num_batches, batch_size)`; what
            fills the last batch up is image 0.
        views: Drawn of each, int32 `(num_batches, batch_size)`.
        shares: Of that view in a mixture `(num_batches, batch_size)`.
        labels: int32 `(num_batches, batch_size)`.
        partners: Places in the batch of the images that each is mixed with,
            int32 `(num_batches, batch_size)`.
        weights: 1, and 0 for what fills up `(num_batches, batch_size)`.
        num_steps: Batches that are more than filling.
        first_step: Number of the first one in the training, from 0.
    """

    vectors: tf.Tensor
    places: tf.Tensor
    views: tf.Tensor
    shares: tf.Tensor
    labels: tf.Tensor
    partners: tf.Tensor
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
        steps = self.first_step + tf.range(self.places.shape[0])
        return _draw_bytes(
            tf.constant(seed, tf.uint32),
            steps,
            tf.constant([self.places.shape[1], size]),
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
    columns = order, views, shares, tf.gather(labels, order), tf.ones(num_rows)
    for start in range(0, num_rows, rows_each):
        rows = min(rows_each, num_rows - start)
        places, view, share, label, weight = (
            tf.reshape(
                tf.pad(of[start : start + rows], [[0, rows_each - rows]]),
                (num_batches, batch_size),
            )
            for of in columns
        )
        yield Batches(
            vectors=vectors,
            places=places,
            views=view,
            shares=share,
            labels=label,
            partners=partners_of(
                tf.maximum(
                    tf.reduce_sum(tf.cast(weight, tf.int32), 1, True), 1
                ),
                batch_size,
            ),
            weights=weight,
            num_steps=-(-rows // batch_size),
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
