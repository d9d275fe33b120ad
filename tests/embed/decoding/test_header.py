"""Tests for `embed.decoding`: `header`, `exif` and `jpeg_xl`."""

import struct

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from embed.decoding.header import Header
from embed.decoding.header import read_header
from tests.odd_pictures import odd_pictures
from tests.odd_pictures import undamaged_pictures

ALL = [odd.encoded for odd in odd_pictures()]


@pytest.mark.parametrize("odd", undamaged_pictures(), ids=lambda odd: odd.name)
def test_size_is_the_decoded_one(odd):
    """What the header says is what TensorFlow makes of the picture."""
    pixels = tf.io.decode_image(odd.encoded, 3, expand_animations=False)

    header = read_header(odd.encoded)

    assert (header.height, header.width) == tuple(pixels.shape[:2])
    assert header.problem == ""


@given(st.binary(max_size=200))
def test_any_bytes_have_a_header(encoded):
    """Whatever lies in a file, it is a picture or a problem."""
    header = read_header(encoded)

    assert header.problem or header.width * header.height > 0


@given(
    st.sampled_from(ALL),
    st.integers(0, 300),
    st.binary(min_size=1, max_size=8),
    st.integers(0, 5_000),
)
def test_damage_anywhere_raises_nothing(encoded, start, noise, end):
    """Changed bytes and a cut give a header too."""
    damaged = encoded[:start] + noise + encoded[start + len(noise) :]

    assert isinstance(read_header(damaged[:end]), Header)


def test_orientation_of_either_byte_order():
    """Cameras write EXIF as they like."""
    for order, mark in (("<", b"II*\0"), (">", b"MM\0*")):
        entry = struct.pack(f"{order}HHHIHH", 1, 0x0112, 3, 1, 6, 0)
        tiff = mark + struct.pack(f"{order}I", 8) + entry
        block = b"Exif\0\0" + tiff
        segment = b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block
        jpeg = ALL[0][:2] + segment + ALL[0][2:]

        assert read_header(jpeg).is_oriented


def test_frames_of_a_gif_are_counted_together():
    """One of three is used, all three are unpacked."""
    (odd,) = (p for p in undamaged_pictures() if p.name == "animated gif")

    header = read_header(odd.encoded)

    assert header.num_frame_pixels > 2 * header.width * header.height


@pytest.mark.parametrize(
    ("start", "size"),
    [
        # Of files that libjxl wrote: `ff 0a`, and in boxes.
        ("ff0a600ae60f001388", (500, 333)),
        ("ff0acb0600000012457869664d4d002a", (64, 48)),
    ],
)
def test_size_of_a_jpeg_xl(start, size):
    """Lengths of 5, 9 and more bits, and of a ratio."""
    header = read_header(bytes.fromhex(start) + bytes(20))

    assert (header.width, header.height) == size


def test_size_of_a_jpeg_xl_that_lies_in_parts():
    """A container may cut the codestream within its size."""
    codestream = bytes.fromhex("ff0a600ae60f001388")
    boxes = bytes.fromhex("0000000c4a584c200d0a870a")
    for number, part in enumerate((codestream[:4], codestream[4:])):
        boxes += struct.pack(">I4sI", 12 + len(part), b"jxlp", number) + part

    header = read_header(boxes)

    assert (header.width, header.height) == (500, 333)
