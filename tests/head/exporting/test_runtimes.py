"""Tests for `head.exporting.runtimes`; tests/integration has what it opens."""

import io

import numpy as np
import pytest

from head.exporting.runtimes import pack_array
from head.exporting.runtimes import read_message
from head.exporting.runtimes import unpack_array
from head.exporting.runtimes import write_message


@pytest.mark.parametrize("parts", [[], [b""], [b"pixels", b"\x00\xff" * 100]])
def test_messages_come_as_they_went(parts):
    """One after the other, and none at the end."""
    stream = io.BytesIO()
    write_message(stream, parts)
    write_message(stream, [b"next"])
    stream.seek(0)

    assert read_message(stream) == parts
    assert read_message(stream) == [b"next"]
    assert read_message(stream) is None


def test_a_message_that_breaks_off_is_none():
    """As of a process that was killed while it wrote."""
    stream = io.BytesIO()
    write_message(stream, [b"a", b"whole message"])

    assert read_message(io.BytesIO(stream.getvalue()[:-1])) is None


@pytest.mark.parametrize(
    "array", [np.array(0.5), np.zeros((0, 3)), np.eye(3, dtype=np.float32)]
)
def test_arrays_come_as_they_went(array):
    """Dtype, shape and values."""
    again = unpack_array(pack_array(array))

    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
