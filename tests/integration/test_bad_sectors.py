"""A disk that does not give some bytes (EIO) costs the rows in them.

A process's own memory is such a file: where a page is mapped behind the end of
a file, reading it is the same error as that of a bad sector.
"""

import ctypes
import errno
import mmap
import os

import numpy as np
import pytest

from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.errors import CorruptCacheError
from embed.splits import Selection
from embed.storage.columns import read_column
from embed.storage.columns import read_readable
from embed.storage.hdf5 import PAGE_BYTES
from tests.children import run_forked
from tests.drawn_caches import draw_rows
from tests.drawn_caches import write_drawn_cache

NUM_ROWS = 600
MAP_FIXED = 0x10  # Of Linux; the module mmap does not have it.
MEMORY = "/proc/self/mem"


@pytest.fixture(name="libc")
def _libc():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mmap.argtypes += [ctypes.c_int] * 3 + [ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc


@pytest.fixture(name="open_in_memory")
def _open_in_memory(libc, tmp_path):
    """Opens a cache that lies in memory, with a page taken out.

    Takes the split and column in whose second page the hole is.
    """
    path = tmp_path / "drawn.h5"
    write_drawn_cache(path, num_train=NUM_ROWS)
    data = path.read_bytes()
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    mode = mmap.PROT_READ | mmap.PROT_WRITE
    start = libc.mmap(None, len(data), mode, flags, -1, 0)
    ctypes.memmove(start, data, len(data))
    seal = open_cache(path).seal
    moved = {
        split: {
            name: column.model_copy(update={"offset": start + column.offset})
            for name, column in of_split.items()
        }
        for split, of_split in seal.columns.items()
    }

    def open_in_memory(split, name):
        place = moved[split][name].offset + PAGE_BYTES
        hole = place - place % PAGE_BYTES
        empty = os.open(tmp_path / "empty", os.O_RDONLY | os.O_CREAT)
        fixed = mmap.MAP_PRIVATE | MAP_FIXED
        assert libc.mmap(hole, PAGE_BYTES, mode, fixed, empty, 0) == hole
        return FeatureCache(
            path,
            os.open(MEMORY, os.O_RDONLY),
            seal.model_copy(update={"columns": moved}),
        ), hole

    yield open_in_memory
    libc.munmap(start, len(data))


def test_only_the_rows_in_the_hole_are_lost(open_in_memory):
    """All others are read and good, whichever were asked for with them."""
    cache, hole = open_in_memory("train", "features")
    column = cache.seal.columns["train"]["features"]
    starts = column.offset + np.arange(NUM_ROWS) * column.row_bytes
    is_out = (starts + column.row_bytes <= hole) | (starts >= hole + PAGE_BYTES)

    stored, is_good = cache.read_unchecked("train", np.arange(NUM_ROWS))

    expected = draw_rows(NUM_ROWS).features
    assert 0 < (~is_out).sum() < NUM_ROWS
    np.testing.assert_array_equal(is_good, is_out)
    np.testing.assert_array_equal(stored.features[is_out], expected[is_out])


def test_a_training_is_told(open_in_memory):
    """It is an error of ours, with the command that repairs."""
    cache, _ = open_in_memory("train", "features")

    with pytest.raises(CorruptCacheError, match="--repair"):
        cache.take(Selection("train"))
    assert len(cache.take(Selection("test"))) == 4


@pytest.mark.parametrize("name", ["image_ids", "content_digests"])
def test_ids_in_the_hole(open_in_memory, name):
    """The index cannot be trusted then; good rows still vouch for theirs."""
    cache, _ = open_in_memory("train", name)

    with pytest.raises(CorruptCacheError, match="other labels or ids"):
        cache.index("train")
    _, is_good = cache.read_unchecked("train", np.arange(NUM_ROWS))
    rows = np.flatnonzero(is_good)
    index = cache.index_of_good("train", rows)

    ids = draw_rows(NUM_ROWS).image_ids[rows].tolist()
    assert 0 < len(rows) < NUM_ROWS
    assert list(index.image_ids) == [image_id.decode() for image_id in ids]


def test_readable_rows_alone_hide_no_other_error(open_in_memory):
    """Unchecked reading never turns what the disk does not give into zeros."""
    cache, _ = open_in_memory("train", "features")
    column = cache.seal.columns["train"]["features"]
    rows = np.arange(NUM_ROWS)

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        read_column(os.open(MEMORY, os.O_RDONLY), column, rows)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        read_readable(-1, column, rows)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("embed", ["info"]),
        ("embed", ["verify"]),
        ("head", ["train", "--cache"]),
    ],
)
def test_a_cache_of_which_nothing_can_be_read(tmp_path, package, arguments):
    """Exit code 1 and one line, no traceback."""
    done = run_forked(*arguments, MEMORY, "-q", package=package, cwd=tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: The cache {MEMORY} is corrupt.")
    assert done.stderr.count("\n") == 1
