"""Tests for `embed.storage.hdf5`."""

import itertools
import os

import h5py
import numpy as np
import pytest

from embed.storage.hdf5 import PAGE_BYTES
from embed.storage.hdf5 import create_file

RESERVED_BYTES = 8192
COLUMNS = {
    "train": {
        "features": ("<f2", (5, 2, 3)),
        "labels": ("<i4", (5,)),
        "image_ids": ("|S7", (5,)),
    },
    "test": {"digests": ("|u1", (2, 32))},
}


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "file.h5"


@pytest.fixture(name="places")
def _places(path):
    """Where the columns of the file at `path` lie."""
    return create_file(
        path,
        COLUMNS,
        attributes={"spec": b'{"a":"\xc3\xa9"}'},
        reserved_bytes=RESERVED_BYTES,
    )


def test_rows_written_at_the_places_are_what_hdf5_reads(path, places):
    """A column lies where it is said to, in one piece."""
    values = {
        "features": np.arange(30, dtype="<f2").reshape(5, 2, 3),
        "labels": np.arange(5, dtype="<i4") - 2,
        "image_ids": np.array(["é".encode(), b"b", b"", b"d", b"ab"], "S7"),
    }
    descriptor = os.open(path, os.O_RDWR)
    for name, column in places["train"].items():
        os.pwrite(descriptor, values[name].tobytes(), column.offset)
    os.close(descriptor)

    with h5py.File(path) as file:
        read = {name: file["train"][name][:] for name in values}
        text = file["train/image_ids"].asstr()[0]

    for name, expected in values.items():
        assert read[name].tobytes() == expected.tobytes()
    assert text == "é"


def test_columns_are_as_asked_for(path, places):
    """Names, shapes and dtypes are those of the file."""
    with h5py.File(path) as file:
        found = {
            split: {
                name: (
                    np.dtype(f"S{dataset.dtype.itemsize}").str
                    if dataset.dtype.kind == "S"
                    else dataset.dtype.str,
                    dataset.shape,
                )
                for name, dataset in file[split].items()
            }
            for split in file
        }

    assert found == COLUMNS
    assert {
        split: {name: (c.dtype, c.shape) for name, c in of_split.items()}
        for split, of_split in places.items()
    } == COLUMNS


def test_columns_do_not_overlap(path, places):
    """None lies in another, in the reserve, or behind the end."""
    columns = sorted(
        (
            column
            for of_split in places.values()
            for column in of_split.values()
        ),
        key=lambda column: column.offset,
    )

    ends = [column.offset + column.num_bytes for column in columns]
    starts = [column.offset for column in columns]
    assert starts[0] >= RESERVED_BYTES
    assert all(e <= s for e, s in zip(ends, starts[1:], strict=False))
    assert ends[-1] <= path.stat().st_size


def test_long_columns_start_on_pages(path):
    """They can be mapped into memory."""
    columns = {
        split: {"features": ("<f4", (1000, 2, 3)), "labels": ("<i4", (1025,))}
        for split in ("train", "test")
    }

    places = create_file(
        path, columns, attributes={}, reserved_bytes=RESERVED_BYTES
    )

    for split, name in itertools.product(columns, ("features", "labels")):
        assert places[split][name].offset % PAGE_BYTES == 0


def test_size_of_rows_and_columns(places):
    """Five rows of two views of three half-precision features."""
    features = places["train"]["features"]

    assert (features.row_bytes, features.num_bytes) == (12, 60)
    assert places["train"]["image_ids"].row_bytes == 7


@pytest.mark.parametrize("reserved_bytes", [PAGE_BYTES, 8192, 2**20])
def test_start_is_left_free(path, reserved_bytes):
    """HDF5 begins after the reserve, and reads a file whose reserve is used."""
    create_file(path, COLUMNS, attributes={}, reserved_bytes=reserved_bytes)
    whole = path.read_bytes()
    path.write_bytes(b"\xff" * reserved_bytes + whole[reserved_bytes:])

    with h5py.File(path) as file:
        assert file.userblock_size == reserved_bytes
        assert set(file) == {"train", "test"}


def test_attributes_are_bytes(path, places):
    """What a file says of itself is there for other programs."""
    with h5py.File(path) as file:
        assert bytes(file.attrs["spec"]).decode() == '{"a":"é"}'
    assert set(places) == {"train", "test"}


def test_attributes_may_be_long(path):
    """Thousands of pictures left out make more than HDF5's usual 64 KiB."""
    text = b"x" * 10**6

    create_file(
        path, COLUMNS, attributes={"a": text}, reserved_bytes=RESERVED_BYTES
    )

    with h5py.File(path) as file:
        assert bytes(file.attrs["a"]) == text


def test_what_is_there_is_replaced(path):
    """A part that a killed process left is no hindrance."""
    path.write_bytes(b"half" * 10_000)

    create_file(path, COLUMNS, attributes={}, reserved_bytes=RESERVED_BYTES)

    with h5py.File(path) as file:
        assert set(file) == {"train", "test"}


def test_equal_calls_give_equal_files(path, tmp_path):
    """No clock and no random number is in the structure."""
    other = tmp_path / "other.h5"
    for place in (path, other):
        create_file(
            place,
            COLUMNS,
            attributes={"a": b"b"},
            reserved_bytes=RESERVED_BYTES,
        )

    assert path.read_bytes() == other.read_bytes()
