"""What a training draws by chance, but for weights and dropout.

It depends on the arguments alone, and not on how rows are read, so that heads
of one seed can be trained on the same draws at once.
"""

import numpy as np

_MIXUP_SALT, _VIEWS_SALT = 1, 2  # For draws that are independent.


def draw_order(
    num_images: int, num_views: int, *, seed: int, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the order of an epoch, and the view of each image in it.

    Returns:
        Both int32 `(num_images,)`.
    """
    import tensorflow as tf

    order = tf.random.experimental.stateless_shuffle(
        tf.range(num_images), seed=[seed, 2 * epoch]
    )
    views = tf.random.stateless_uniform(
        [num_images],
        seed=[seed, 2 * epoch + 1],
        maxval=num_views,
        dtype=tf.int32,
    )
    return order.numpy(), views.numpy()


def draw_shares_of_views(
    num_images: int, *, seed: int, epoch: int
) -> np.ndarray:
    """Draws what share of each image's mixture its first view has.

    Returns:
        float32 `(num_images,)` in [0, 1), evenly spread.
    """
    rng = np.random.default_rng([seed, epoch, _VIEWS_SALT])
    return rng.random(num_images, np.float32)


def draw_shares_of_images(
    alpha: float, num_batches: int, *, seed: int, epoch: int
) -> np.ndarray:
    """Draws what share of its mixtures the images of each batch have.

    After Zhang et al. (2018), "mixup: Beyond Empirical Risk Minimization",
    who draw one for a batch as well.

    Args:
        alpha: Both parameters of the beta distribution; 0 mixes nothing.
        num_batches: Batches of the epoch.
        seed: Of the training.
        epoch: Counted from 0.

    Returns:
        float32 `(num_batches,)` in [0, 1].
    """
    if not alpha:
        return np.ones(num_batches, np.float32)
    rng = np.random.default_rng([seed, epoch, _MIXUP_SALT])
    return rng.beta(alpha, alpha, num_batches).astype(np.float32)
