"""Features and random bytes for batches, prepared once for all heads."""

import functools
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from concurrent.futures import Executor

import tensorflow as tf

from head.spec import HeadSpec
from head.spec import Normalization
from head.training.mixing import gather_views
from tune.batches import Batches
from tune.slot import Slot

Normalizer = Callable[[tf.Tensor], tf.Tensor]
Gather = Callable[[Batches, bool], tf.Tensor]

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

    def begin(
        self, batches: Batches, slots: Collection[Slot], pool: Executor
    ) -> "Prepared":
        """Begins with what some heads want.

        Args:
            batches: Of what.
            slots: The heads.
            pool: Where it is done.
        """
        return Prepared(self._gather, batches, slots, pool)


class Prepared:
    """What is being prepared: each of it once, whoever waits for it."""

    def __init__(
        self,
        gather: Mapping[Normalization, Gather],
        batches: Batches,
        slots: Collection[Slot],
        pool: Executor,
    ) -> None:
        self._features = {
            kind: pool.submit(gather[kind[0]], batches, kind[1])
            for kind in {_kind_of_features(slot.spec) for slot in slots}
        }
        self._drawn = {
            dropout: pool.submit(batches.draw_bytes, *dropout)
            for dropout in {d for slot in slots for d in slot.dropouts}
        }

    def features_of(self, slot: Slot) -> tf.Tensor:
        """Returns features `(num_batches, batch_size, feature_dim)`."""
        return self._features[_kind_of_features(slot.spec)].result()

    def drawn_of(self, slot: Slot) -> list[tf.Tensor]:
        """Returns bytes for each dropout layer of a head."""
        return [self._drawn[dropout].result() for dropout in slot.dropouts]


def _kind_of_features(spec: HeadSpec) -> tuple[Normalization, bool]:
    """Returns how features are normalised, and whether views are mixed."""
    return spec.normalization, spec.view_mixing


def _create_gather(normalizer: Normalizer, num_views: int) -> Gather:
    """Returns what gathers the features of batches.

    One batch after the other, which stays near the processor meanwhile: half
    of the time of all at once.

    Args:
        normalizer: What heads do to features first.
        num_views: Views of an image.

    Returns:
        A function of batches, and whether two views of each image are mixed,
        to `(num_batches, batch_size, feature_dim)`.
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
