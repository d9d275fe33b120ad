"""Tests for `embed.building.blocks`."""

import dataclasses
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from embed.building.blocks import BLOCK_ROWS
from embed.building.blocks import Block
from embed.building.blocks import BlockKey
from embed.building.blocks import add_to_block
from embed.building.blocks import join_blocks
from embed.building.blocks import list_blocks
from embed.building.blocks import read_arrays
from embed.building.blocks import read_block
from embed.building.blocks import write_block


@pytest.fixture(name="block")
def _block():
    """Two rows, the second of a picture whose stamp tells nothing."""
    return Block(
        image_ids=np.array([b"a", "été".encode()]),
        features=np.arange(8, dtype=np.float32).reshape(2, 2, 2),
        content_digests=np.arange(64, dtype=np.uint8).reshape(2, 32),
        is_oriented=np.array([True, False]),
        stamps=np.array([[5, 2**60, 2**60 + 1], [-1, -1, -1]]),
    )


def assert_equal(read, block):
    """Both hold the same arrays, bit by bit."""
    for name, expected in vars(block).items():
        np.testing.assert_array_equal(getattr(read, name), expected)
        assert getattr(read, name).dtype == expected.dtype


def test_round_trip_is_exact(block, tmp_path):
    """What is written is read, and nothing else is left beside it."""
    path = tmp_path / "train" / "00000000.npz"

    write_block(block, path)

    assert_equal(read_block(path), block)
    assert list(path.parent.iterdir()) == [path]


def test_take_and_join_keep_all_columns_together(block):
    """Rows that are kept and rows that are new make one block."""
    whole = join_blocks(
        [block.take(np.array([1])), block, block.take(np.array([], int))]
    )

    assert len(whole) == 3
    for name, column in vars(block).items():
        np.testing.assert_array_equal(getattr(whole, name), column[[1, 0, 1]])


def test_some_arrays_are_read_alone(block, tmp_path):
    """What a block knows its rows by is read without the features."""
    path = tmp_path / "00000000.npz"
    write_block(block, path)

    arrays = read_arrays(path, ["image_ids", "stamps"])

    assert set(arrays) == {"image_ids", "stamps"}
    np.testing.assert_array_equal(arrays["stamps"], block.stamps)
    assert read_arrays(path, ["stamps", "errors"]) is None


@pytest.mark.parametrize(
    ("num_rows", "ranges"),
    [
        (0, []),
        (1, [(0, 1)]),
        (255, [(0, 255)]),
        (256, [(0, 256)]),
        (257, [(0, 256), (256, 257)]),
        (512, [(0, 256), (256, 512)]),
        (600, [(0, 256), (256, 512), (512, 600)]),
    ],
)
def test_blocks_divide_rows_at_256(num_rows, ranges):
    """Blocks cover every row once and start at multiples of 256."""
    keys = list_blocks({"train": num_rows})

    assert [(key.start, key.stop) for key in keys] == ranges
    assert [key.number for key in keys] == list(range(len(ranges)))
    assert sum(len(key.rows) for key in keys) == num_rows
    assert BLOCK_ROWS == 256


def test_splits_have_blocks_of_their_own(tmp_path):
    """No block holds rows of two splits, nor lies where another does."""
    keys = list_blocks({"train": 300, "test": 10})

    assert keys == [
        BlockKey("train", 0, 0, 256),
        BlockKey("train", 1, 256, 300),
        BlockKey("test", 0, 0, 10),
    ]
    assert len({key.path_in(tmp_path) for key in keys}) == 3


def test_absent_block_is_missing(tmp_path):
    """No file is no error: the block is yet to be computed."""
    (key,) = list_blocks({"train": 1})

    assert read_block(key.path_in(tmp_path)) is None


def test_part_is_no_block(block, tmp_path):
    """What a killed process left half written does not count."""
    (key,) = list_blocks({"train": 2})
    path = key.path_in(tmp_path)
    write_block(block, path)
    path.rename(path.with_name(path.name + ".part"))

    assert read_block(path) is None


def test_whole_block_is_not_missing(block, tmp_path):
    """Only what is not there is computed."""
    keys = list_blocks({"train": 257})
    write_block(block, keys[0].path_in(tmp_path))

    are_there = [read_block(key.path_in(tmp_path)) is not None for key in keys]
    assert are_there == [True, False]


def test_two_may_write_a_block(block, tmp_path, monkeypatch):
    """A worker that was taken for dead and the next: one of them is last."""
    path = tmp_path / "00000000.npz"
    other = block.take(np.array([1]))
    save = np.savez

    def save_later(file, **columns):
        monkeypatch.setattr(np, "savez", save)
        write_block(other, path)
        save(file, **columns)

    monkeypatch.setattr(np, "savez", save_later)

    write_block(block, path)

    assert_equal(read_block(path), block)
    assert list(tmp_path.iterdir()) == [path]


def test_rows_are_added_to_those_that_are_there(block, tmp_path):
    """The newer of two of the same picture is kept."""
    path = tmp_path / "00000000.npz"
    newer = dataclasses.replace(block, features=block.features + 1)

    add_to_block(block.take(np.array([0])), path, None)
    add_to_block(newer.take(np.array([1])), path, read_block(path))
    assert_equal(
        read_block(path),
        join_blocks([block.take(np.array([0])), newer.take(np.array([1]))]),
    )
    add_to_block(newer, path, read_block(path))

    assert_equal(read_block(path), newer)


def test_any_flipped_bit_counts_as_missing(block, tmp_path):
    """A damaged block is computed again: no error, no other number."""
    path = tmp_path / "00000000.npz"
    write_block(block, path)
    whole = path.read_bytes()

    bits = itertools.cycle((1, 32, 128))
    for position, bit in zip(range(len(whole)), bits, strict=False):
        damaged = bytearray(whole)
        damaged[position] ^= bit
        path.write_bytes(damaged)
        read = read_block(path)

        if read is not None:  # In padding or a date, which hold nothing.
            assert_equal(read, block)


def test_headers_are_parsed_one_at_a_time(block, tmp_path, monkeypatch):
    """Python 3.11 may fail where two threads parse at once."""
    path = tmp_path / "00000000.npz"
    write_block(block, path)
    parse = np.lib.format.read_array_header_1_0
    is_free = threading.Lock()

    def parse_slowly(file):
        assert is_free.acquire(blocking=False), "two at once"
        time.sleep(1e-3)
        is_free.release()
        return parse(file)

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", parse_slowly)

    with ThreadPoolExecutor(4) as pool:
        for read in pool.map(read_block, [path] * 8):
            assert_equal(read, block)


@pytest.mark.parametrize(
    "array",
    [
        np.empty((0, 3), np.int64),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["é".encode()]),
    ],
)
def test_arrays_of_any_layout_are_read(array, tmp_path):
    """No rows at all, columns first, text."""
    path = tmp_path / "arrays.npz"
    np.savez(path, array=array)

    read = read_arrays(path, ["array"])["array"]

    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


def test_python_objects_are_not_read(tmp_path):
    """A file that anybody may have written runs nothing of theirs."""
    path = tmp_path / "arrays.npz"
    np.savez(path, array=np.array([None]))

    assert read_arrays(path, ["array"]) is None


def test_any_truncation_counts_as_missing(block, tmp_path):
    """A block cut short anywhere is computed again."""
    path = tmp_path / "00000000.npz"
    write_block(block, path)
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])

        assert read_block(path) is None


@pytest.mark.parametrize("name", ["features", "image_ids", "stamps"])
def test_block_without_a_column_counts_as_missing(block, tmp_path, name):
    """A block of another layout is computed again."""
    path = tmp_path / "00000000.npz"
    columns = {key: value for key, value in vars(block).items() if key != name}
    np.savez(path, **columns)

    assert read_block(path) is None


def test_blocks_do_not_change(block):
    """A block that was checked stays what it was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        block.features = np.zeros(1)
