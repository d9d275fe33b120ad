"""Tests for `head.training.feed`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from embed.errors import CorruptCacheError
from embed.rows import Rows
from embed.splits import Selection
from embed.splits import split_train
from embed.stream import NUM_SHARES
from embed.stream import RowStream
from head.training.feed import feed_chunks

NUM_TRAIN = 300
ROW_BYTES = 2 * 8 * 4  # Two views of eight float32.
MEMORY_LIMIT = 100 * ROW_BYTES  # Chunks of 25 rows, or of 24 in batches of 8.


@pytest.fixture(name="cache", scope="module")
def _cache(draw_cache, tmp_path_factory):
    """300 training images."""
    path = tmp_path_factory.mktemp("feed") / "tiny.h5"
    return draw_cache(path, num_train=NUM_TRAIN)


def feed(train, val=None, *, epochs=1, batch_size=8, seed=0):
    """Returns the passes of a feed, each a list of its chunks as arrays."""
    passes = [[]]
    for chunk in feed_chunks(
        train, val, epochs=range(epochs), batch_size=batch_size, seed=seed
    ):
        if chunk is None:
            passes.append([])
        else:
            passes[-1].append([tensor.numpy() for tensor in chunk])
    return passes[:-1]


def drawn(chunk):
    """Returns the vectors and labels of a chunk as a training draws them."""
    order, views, _, vectors, labels = chunk
    return vectors[2 * order + views], labels[order]


def stream_of(cache, selection=None, memory_limit=MEMORY_LIMIT):
    """Returns a stream of the train split, or of a selection."""
    selection = selection or Selection("train")
    return RowStream(cache, selection, memory_limit=memory_limit)


@given(
    st.integers(8 * NUM_SHARES * ROW_BYTES, 2 * NUM_TRAIN * ROW_BYTES),
    st.integers(1, 8),
    st.integers(0, 5),
    st.integers(1, 3),
)
@settings(max_examples=20)  # Each reads the whole cache.
def test_a_stream_gives_what_memory_gives(
    cache, memory_limit, batch_size, seed, epochs
):
    """Whatever the limit: every row once an epoch, the same views and order.

    Every chunk but the last of an epoch is whole batches, so that batches are
    the same too.
    """
    held = cache.take(Selection("train"))
    options = {"batch_size": batch_size, "seed": seed, "epochs": epochs}

    streamed = feed(stream_of(cache, memory_limit=memory_limit), **options)

    assert len(streamed) == epochs
    for chunks, [whole] in zip(streamed, feed(held, **options), strict=True):
        assert sorted(whole[0]) == list(range(NUM_TRAIN))
        assert all(len(chunk[0]) % batch_size == 0 for chunk in chunks[:-1])
        for found, expected in zip(
            zip(*map(drawn, chunks), strict=True), drawn(whole), strict=True
        ):
            np.testing.assert_array_equal(np.concatenate(found), expected)


def test_the_seed_decides_on_order_and_views(cache):
    """Seed 0 equals itself and differs from seed 1."""
    stream = stream_of(cache)

    first, again, other = (
        [drawn(chunk)[0] for chunk in feed(stream, seed=s)[0]]
        for s in (0, 0, 1)
    )

    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_every_epoch_has_an_order_of_its_own(cache):
    """No two begin with the same batch, and all views are drawn."""
    passes = feed(stream_of(cache), epochs=4)

    starts = {drawn(chunks[0])[0][:8].tobytes() for chunks in passes}
    views = np.concatenate([chunk[1] for chunk in passes[0]])

    assert len(starts) == 4
    assert 0.35 < views.mean() < 0.65


def test_chunks_are_mixed_though_classes_are_sorted(cache):
    """A chunk holds images from all over the cache."""
    [chunks] = feed(stream_of(cache))
    features = cache.take(Selection("train")).features

    first = chunks[0][3][::2]
    numbers = [
        int(np.flatnonzero((features[:, 0] == vector).all(axis=1))[0])
        for vector in first
    ]

    spread = np.histogram(numbers, bins=4, range=(0, NUM_TRAIN))[0]
    assert spread.min() >= len(numbers) / 12


def test_validation_rows_come_in_order_after_each_epoch(cache):
    """All views of every row, in smaller chunks."""
    split = split_train(cache.image_ids("train"))
    expected = cache.take(split.val)

    passes = feed(
        stream_of(cache, split.train), stream_of(cache, split.val), epochs=2
    )

    assert len(passes) == 4
    for chunks in (passes[1], passes[3]):
        vectors, labels = map(np.concatenate, zip(*chunks, strict=True))
        np.testing.assert_array_equal(vectors, expected.features.reshape(-1, 8))
        np.testing.assert_array_equal(labels, expected.labels)
        assert len(chunks) > 1


def test_chunks_in_memory_stay_within_the_limit(cache, watch_cache):
    """The one in use and the one read meanwhile: half of it."""
    watched = watch_cache(cache)
    split = split_train(cache.image_ids("train"))
    chunks = feed_chunks(
        stream_of(watched, split.train),
        stream_of(watched, split.val),
        epochs=range(3),
        batch_size=8,
        seed=0,
    )

    for chunk in chunks:
        del chunk  # As a training does before it asks for the next.

    assert len(watched.taken) > 30
    padding = 2 * 64  # To where TensorFlow can share the memory.
    assert watched.most_bytes <= MEMORY_LIMIT / 2 + padding


def test_rows_in_memory_are_not_copied(cache):
    """On a CPU the tensor is the array."""
    rows = cache.take(Selection("train"))
    chunks = feed_chunks(rows, None, epochs=[0], batch_size=8, seed=0)

    *_, vectors, _ = next(chunks)
    rows.features[0, 0, 0] = 42

    assert vectors[0, 0].numpy() == 42
    chunks.close()


@pytest.mark.parametrize("shift", [1, 4, 15])
def test_memory_that_cannot_be_shared_is_copied(cache, shift):
    """TensorFlow would abort the process on what is not aligned."""
    rows = cache.take(Selection("train"))
    spare = np.empty(rows.features.size + 32, np.float32)
    start = -spare.ctypes.data % 64 // 4 + shift
    elsewhere = spare[start : start + rows.features.size]
    elsewhere[:] = rows.features.ravel()
    moved = Rows(
        elsewhere.reshape(rows.features.shape), rows.labels, rows.image_ids
    )

    [[chunk]], [[expected]] = feed(moved), feed(rows)

    np.testing.assert_array_equal(drawn(chunk)[0], drawn(expected)[0])


def test_a_damaged_row_ends_the_feed(draw_cache, tmp_path):
    """What a thread finds out is an error of whoever reads the feed."""
    cache = draw_cache(tmp_path / "damaged.h5", num_train=NUM_TRAIN)
    column = cache.seal.columns["train"]["features"]
    with cache.path.open("r+b") as file:
        file.seek(column.offset + 200 * column.row_bytes)
        file.write(b"\1\2\3")

    with pytest.raises(CorruptCacheError, match="row 200"):
        feed(stream_of(cache))
