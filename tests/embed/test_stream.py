"""Tests for `embed.stream`."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.console import Console
from embed.errors import CorruptCacheError
from embed.errors import PipelineError
from embed.rows import Rows
from embed.splits import Selection
from embed.splits import split_train
from embed.stream import NUM_SHARES
from embed.stream import RowStream
from embed.stream import choose_reader

ROW_BYTES = 2 * 8 * 4  # Two views of eight float32.
NUM_TRAIN = 60


@pytest.fixture(name="cache", scope="module")
def _cache(draw_cache, tmp_path_factory):
    """60 training and 30 test images."""
    return draw_cache(tmp_path_factory.mktemp("stream") / "tiny.h5")


@pytest.fixture(name="wide_cache", scope="module")
def _wide_cache(draw_cache, tmp_path_factory):
    """The same in float16, which memory holds as float32."""
    return draw_cache(
        tmp_path_factory.mktemp("stream") / "wide.h5", dtype="float16"
    )


@given(
    st.integers(1, 10**6),
    st.integers(1, 80),
    st.integers(1, 4),
    st.integers(1, NUM_TRAIN),
)
def test_pieces_cover_all_rows_within_the_limit(
    cache, memory_limit, batch_size, num_parts, num_rows
):
    """Whole batches but for the end, and chunks that fit into their share."""
    rows = np.arange(num_rows)
    stream = RowStream(
        cache, Selection("train", rows), memory_limit=memory_limit
    )
    share = memory_limit // (NUM_SHARES * num_parts)
    if share < batch_size * ROW_BYTES:
        with pytest.raises(PipelineError, match="--memory-limit"):
            stream.pieces(batch_size, num_parts)
        return

    pieces = [rows[p] for p in stream.pieces(batch_size, num_parts)]

    np.testing.assert_array_equal(np.concatenate(pieces), rows)
    assert all(len(piece) % batch_size == 0 for piece in pieces[:-1])
    assert all(len(piece) for piece in pieces)
    assert max(map(len, pieces)) * ROW_BYTES <= max(share, 0)


def test_the_least_limit_is_named_and_works(cache):
    """What the error says to give is enough, and a byte less is not."""
    selection = Selection("train")
    least = NUM_SHARES * 8 * ROW_BYTES

    with pytest.raises(PipelineError, match=f"--memory-limit {least}`"):
        RowStream(cache, selection, memory_limit=least - 1).pieces(8)

    assert RowStream(cache, selection, memory_limit=least).pieces(8)


@pytest.mark.parametrize("name", ["cache", "wide_cache"])
def test_a_stream_takes_what_the_cache_takes(name, request):
    """Rows are counted within the selection."""
    cache = request.getfixturevalue(name)
    val = split_train(cache.image_ids("train")).val
    stream, expected = RowStream(cache, val, memory_limit=1), cache.take(val)
    some = np.arange(0, len(stream), 2)

    rows = stream.take(some)

    assert stream.shape == expected.features.shape
    assert len(stream) == len(expected)
    np.testing.assert_array_equal(rows.features, expected.features[some])
    np.testing.assert_array_equal(rows.labels, expected.labels[some])
    assert rows.features.dtype == np.float32


def test_rows_are_checked_when_they_are_read_first(draw_cache, tmp_path):
    """Reading them again, an epoch later, costs no digest.

    That is so while the file is as it was: here its time is put back.
    """
    cache = draw_cache(tmp_path / "damaged.h5")
    stream = RowStream(cache, Selection("train"), memory_limit=1)
    before = stream.take(np.arange(8))
    times = cache.path.stat()
    column = cache.seal.columns["train"]["features"]
    with cache.path.open("r+b") as file:
        file.seek(column.offset + 7 * column.row_bytes)
        file.write(b"\1\2\3")
    os.utime(cache.path, ns=(times.st_atime_ns, times.st_mtime_ns))

    again = stream.take(np.arange(8))

    os.utime(cache.path)
    with pytest.raises(CorruptCacheError, match="row 7"):
        stream.take(np.arange(8))
    np.testing.assert_array_equal(again.features[:7], before.features[:7])
    np.testing.assert_array_equal(again.labels, before.labels)
    with pytest.raises(CorruptCacheError, match="row 7"):
        RowStream(cache, Selection("train"), memory_limit=1).take(np.arange(8))
    with pytest.raises(CorruptCacheError, match="row 7"):
        stream.take(np.arange(7, 9))


@pytest.mark.parametrize("name", ["cache", "wide_cache"])
def test_what_fits_is_held_in_memory(name, request, capsys):
    """The float32 rows of the train split count, to the byte."""
    cache = request.getfixturevalue(name)
    size = NUM_TRAIN * ROW_BYTES

    held = choose_reader(cache, size, Console())(Selection("train"))
    streamed = choose_reader(cache, size - 1, Console())(Selection("train"))

    assert isinstance(held, Rows)
    assert isinstance(streamed, RowStream)
    within, more = capsys.readouterr().err.splitlines()
    assert "in memory: its 3.8 kB are within the memory limit of" in within
    assert "streams from the cache: its 3.8 kB are more than the" in more


def test_by_default_a_small_cache_is_held(cache):
    """A few kilobytes fit into half of what is free."""
    read = choose_reader(cache, None, Console(is_quiet=True))

    assert isinstance(read(Selection("train")), Rows)
