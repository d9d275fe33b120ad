"""Features of batches, prepared once for all heads that want them so."""

import functools
from collections.abc import Callable
from collections.abc import Mapping

import tensorflow as tf

from head.spec import Normalization
from head.training.mixing import gather_views
from tune.batches import Batches
from tune.slot import Slot

Normalizer = Callable[[tf.Tensor], tf.Tensor]
Gather = Callable[[Batches, bool], tf.Tensor]
Wanted = tuple[Normalization, bool]  # How normalised; whether views are mixed.

# Of any size, so that each is traced once: vectors, whether views are mixed,
# places, views and shares.
GATHER_SIGNATURE = [
    tf.TensorSpec((None, None), tf.float32),
    tf.TensorSpec((), tf.bool),
    tf.TensorSpec((None, None), tf.int32),
    tf.TensorSpec((None, None), tf.int32),
    tf.TensorSpec((None, None), tf.float32),
]


class Preparation:
    """Prepares what heads want of batches.

    Args:
        normalizers: What heads do to features first, by name.
        num_views: Views of an image.
    """

    def __init__(
        self, normalizers: Mapping[Normalization, Normalizer], num_views: int
    ) -> None:
        self._gather = {
            name: _create_gather(normalizer, num_views)
            for name, normalizer in normalizers.items()
        }

    def gather(self, batches: Batches, wanted: Wanted) -> tf.Tensor:
        """Returns features `(num_batches, batch_size + 1, feature_dim)`.

        Args:
            batches: Of what.
            wanted: By which heads.
        """
        normalization, is_mixed = wanted
        return self._gather[normalization](batches, is_mixed)


def wanted_by(slot: Slot) -> Wanted:
    """Returns which features a head is trained on."""
    return slot.spec.normalization, slot.spec.view_mixing


def _create_gather(normalizer: Normalizer, num_views: int) -> Gather:
    """Returns what gathers the features of batches.

    One batch after the other, which stays near the processor meanwhile: half
    of the time of all at once.

    Args:
        normalizer: What heads do to features first.
        num_views: Views of an image.

    Returns:
        A function of batches, and whether two views of each image are mixed,
        to `(num_batches, batch_size + 1, feature_dim)`.
    """

    @tf.function(autograph=False, input_signature=GATHER_SIGNATURE)
    def gather(
        vectors: tf.Tensor, is_mixed: tf.Tensor, *columns: tf.Tensor
    ) -> tf.Tensor:
        def gather_batch(drawn: tuple[tf.Tensor, ...]) -> tf.Tensor:
            places, views, shares = drawn
            of_views = functools.partial(
                gather_views, vectors, places, views, num_views=num_views
            )
            return normalizer(
                tf.cond(
                    is_mixed,
                    lambda: of_views(shares=shares),
                    lambda: of_views(shares=None),
                )
            )

        return tf.map_fn(
            gather_batch, columns, fn_output_signature=tf.TensorSpec(None)
        )

    return lambda batches, is_mixed: gather(
        batches.vectors,
        tf.constant(is_mixed),
        batches.places,
        batches.views,
        batches.shares,
    )
