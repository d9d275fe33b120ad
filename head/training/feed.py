"""What a training is fed: rows as tensors, a chunk ahead of their use.

Rows in memory are one chunk, and on a CPU TensorFlow shares their memory. The
chunks of a `RowStream` are read in a thread while the one before is in use.
"""

import functools
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from embed.ahead import map_ahead
from embed.devices import prepare_devices
from embed.rows import Rows
from embed.storage.columns import ALIGNED_BYTES
from embed.stream import RowStream
from head.training.draws import draw_order
from head.training.draws import draw_shares_of_views

Chunk = tuple[Any, ...]  # Tensors: TensorFlow has no types.
# A head keeps what it computes of a whole chunk of validation rows, a few
# times their features; of training rows it keeps a batch.
NUM_VAL_PARTS = 2


def feed_chunks(
    train: Rows | RowStream,
    val: Rows | RowStream | None,
    *,
    epochs: Iterable[int],
    batch_size: int,
    seed: int,
) -> Generator[Chunk | None, None, None]:
    """Yields the chunks of some epochs, counted from 0, in turn.

    Each epoch is its training chunks, `None`, and, where there are validation
    rows, their chunks and `None`.

    Yields:
        For training the places of the chunk's rows in the order in which they
        are drawn, int32 `(num_rows,)`, the view drawn of each and its share
        in a mixture of views, their vectors
        `(num_rows * num_views, feature_dim)` and their labels `(num_rows,)`;
        for validation vectors and labels.

    Raises:
        PipelineError: If the memory limit has no room for a batch.
        CorruptCacheError: If a row is not what was written.
    """
    loads = _list_loads(train, val, epochs, batch_size, seed)
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield from map_ahead(pool, lambda load: load(), loads, num_ahead=1)


def feed_rows(rows: Rows | RowStream) -> Iterator[Chunk]:
    """Yields the chunks of validation rows: vectors and labels, in order.

    Raises:
        CorruptCacheError: If a row is not what was written.
    """
    pieces, read = _open(rows, num_parts=NUM_VAL_PARTS)
    places = np.arange(len(rows))
    for piece in pieces:
        yield read(places[piece])


def shape_of(rows: Rows | RowStream) -> tuple[int, ...]:
    """Returns `(num_images, num_views, feature_dim)`."""
    return rows.features.shape if isinstance(rows, Rows) else rows.shape


def _list_loads(
    train: Rows | RowStream,
    val: Rows | RowStream | None,
    epochs: Iterable[int],
    batch_size: int,
    seed: int,
) -> Iterator[Callable[[], Chunk | None]]:
    """Yields a function for each chunk, which reads it."""
    pieces, read = _open(train, batch_size)
    if val is not None:
        val_pieces, read_val = _open(val, num_parts=NUM_VAL_PARTS)
    num_images, num_views, _ = shape_of(train)
    for epoch in epochs:
        order, views = draw_order(num_images, num_views, seed=seed, epoch=epoch)
        shares = draw_shares_of_views(num_images, seed=seed, epoch=epoch)
        for piece in pieces:
            yield functools.partial(
                _load_ordered, read, order[piece], views[piece], shares[piece]
            )
        yield _end
        if val is not None:
            places = np.arange(len(val))
            for piece in val_pieces:
                yield functools.partial(read_val, places[piece])
            yield _end


def _end() -> None:
    """Ends the chunks of a pass."""


def _open(
    rows: Rows | RowStream, batch_size: int = 1, num_parts: int = 1
) -> tuple[list[slice], Callable[[np.ndarray], Chunk]]:
    """Returns the pieces that rows are read in, and what reads one.

    It takes ascending rows and answers their vectors and labels.
    """
    if isinstance(rows, RowStream):
        return (
            rows.pieces(batch_size, num_parts),
            lambda places: _to_tensors(rows.take(places)),
        )
    tensors = _to_tensors(rows)
    return [slice(None)], lambda places: tensors


def _load_ordered(
    read: Callable[[np.ndarray], Chunk],
    order: np.ndarray,
    views: np.ndarray,
    shares: np.ndarray,
) -> Chunk:
    import tensorflow as tf

    rows = np.sort(order)
    places = np.searchsorted(rows, order).astype(np.int32)
    drawn = tf.constant(places), tf.constant(views), tf.constant(shares)
    return *drawn, *read(rows)


def _to_tensors(rows: Rows) -> Chunk:
    import tensorflow as tf

    vectors = rows.features.reshape(-1, rows.features.shape[-1])
    labels = tf.constant(rows.labels, tf.int32)
    if prepare_devices().num_logical_gpus or not _is_shareable(vectors):
        return tf.constant(vectors, tf.float32), labels
    return tf.experimental.dlpack.from_dlpack(vectors.__dlpack__()), labels


def _is_shareable(array: np.ndarray) -> bool:
    """Tells whether TensorFlow can use an array's memory as its own."""
    return (
        array.dtype == np.float32
        and array.flags.c_contiguous
        and array.flags.writeable
        and array.size > 0
        and array.ctypes.data % ALIGNED_BYTES == 0
    )
