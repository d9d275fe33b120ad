"""Mixtures to train on: of two views of an image, and of two images (mixup).

Views are mixed as they are cached, images as the head has normalised them.
"""

import tensorflow as tf


def gather_views(
    vectors: tf.Tensor,
    places: tf.Tensor,
    views: tf.Tensor,
    shares: tf.Tensor | None,
    num_views: int,
) -> tf.Tensor:
    """Gathers one view of each image, or a mixture of it and the next one.

    Args:
        vectors: `(num_images * num_views, feature_dim)`.
        places: Of the images, int32 `(batch,)`.
        views: Drawn of each, int32 `(batch,)`.
        shares: Of that view in the mixture `(batch,)`; `None` for it alone.
        num_views: Views of an image.

    Returns:
        `(batch, feature_dim)`.
    """
    first = tf.gather(vectors, places * num_views + views)
    if shares is None or num_views == 1:
        return first
    others = (views + 1) % num_views
    other = tf.gather(vectors, places * num_views + others)
    return other + shares[:, tf.newaxis] * (first - other)


def partners_of(num_images: tf.Tensor, batch_size: int) -> tf.Tensor:
    """Returns the place in a batch of the image that each is mixed with.

    That is the next one, the order being random.

    Args:
        num_images: Images in the batch; what follows fills it up.
        batch_size: With what fills it up.

    Returns:
        int32 `(batch_size,)`.
    """
    return (tf.range(batch_size) + 1) % num_images


def mix(own: tf.Tensor, partners: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns the mixture of the rows of a batch with those of partners.

    Args:
        own: `(batch, size)`.
        partners: Of each row `(batch, size)`.
        share: Of the row itself, a scalar in [0, 1].
    """
    return partners + share * (own - partners)
