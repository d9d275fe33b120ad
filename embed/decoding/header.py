"""What the header of a picture tells, without decoding a pixel.

Read here and by no library: Pillow checks sizes against a limit of the whole
process and warns, which threads share, and for some kinds decodes first.
"""

import dataclasses
import struct
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from embed.decoding import jpeg_xl
from embed.decoding.exif import INTRODUCTION
from embed.decoding.exif import is_block_oriented
from embed.decoding.formats import detect_decoded
from embed.decoding.formats import explain_refusal

TO_PNG = "convert it to PNG"


@dataclasses.dataclass(frozen=True)
class Header:
    """Facts of one picture.

    Args:
        format: One of `formats.DECODED`, or `""`.
        width: In pixels; 0 where it is not told.
        height: The same.
        num_frame_pixels: Of all frames of a GIF together: one is used, but
            all are unpacked.
        is_oriented: Whether it carries an EXIF orientation but upright.
        problem: Why it need not, or must not, be decoded, or `""`.
    """

    format: str = ""
    width: int = 0
    height: int = 0
    num_frame_pixels: int = 0
    is_oriented: bool = False
    problem: str = ""


def read_header(encoded: bytes) -> Header:
    """Reads the header of any bytes; never raises.

    Refused here is what TensorFlow could not decode, and what it decodes to
    something else than the picture without a word.
    """
    if not encoded:
        return Header(problem="the file is empty")
    name = detect_decoded(encoded)
    if not name:
        return Header(problem=explain_refusal(encoded))
    try:
        facts = _READERS[name](encoded)
    except (struct.error, IndexError, StopIteration):
        facts = {}
    header = Header(format=name, **facts)
    if not header.problem and not (header.width and header.height):
        return dataclasses.replace(header, problem=explain_damage(name))
    return header


def explain_damage(name: str) -> str:
    """Says that a picture of a known format is not whole."""
    return f"a truncated or damaged {name}"


def _read_jpeg(encoded: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for marker, start, length in _jpeg_segments(encoded):
        if marker in _JPEG_FRAMES:
            precision, height, width = struct.unpack_from(
                ">BHH", encoded, start
            )
            facts |= {"width": width, "height": height}
            if marker in _JPEG_UNREAD or precision != 8:
                facts["problem"] = (
                    "a lossless or 12-bit JPEG, which TensorFlow does not "
                    f"read: {TO_PNG}"
                )
        elif marker == 0xE1:
            block = encoded[start : start + length]
            if block.startswith(INTRODUCTION):
                facts["is_oriented"] = is_block_oriented(block)
    return facts


_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_UNREAD = _JPEG_FRAMES - {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # No length follows.
_JPEG_PIXELS = frozenset({0xD9, 0xDA})


def _jpeg_segments(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields marker, start and length of what comes before the pixels.

    Garbage between segments is passed over, as libjpeg does.
    """
    position = 2
    while (position := encoded.find(b"\xff", position)) >= 0:
        marker = encoded[position + 1]
        position += 1
        if marker in {0x00, 0xFF}:
            continue
        position += 1
        if marker in _JPEG_PIXELS:
            return
        if marker in _JPEG_ALONE:
            continue
        (length,) = struct.unpack_from(">H", encoded, position)
        yield marker, position + 2, length - 2
        position += max(length, 2)


def _read_png(encoded: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    position = 8
    while position + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, position)
        start = position + 8
        if position == 8 and kind == b"IHDR":
            width, height = struct.unpack_from(">II", encoded, start)
            facts |= {"width": width, "height": height}
        elif kind == b"eXIf":
            facts["is_oriented"] = is_block_oriented(
                encoded[start : start + length]
            )
        position = start + length + 4  # After its checksum.
    return facts


def _read_gif(encoded: bytes) -> dict[str, Any]:
    frames = list(_gif_frames(encoded))
    # TensorFlow's canvas; the screen that the file names it does not read.
    width = max((right - left for left, _, right, _ in frames), default=0)
    height = max((bottom - top for _, top, _, bottom in frames), default=0)
    facts: dict[str, Any] = {"width": width, "height": height}
    facts["num_frame_pixels"] = sum(
        (right - left) * (bottom - top) for left, top, right, bottom in frames
    )
    if frames and (frames[0][2] > width or frames[0][3] > height):
        facts["problem"] = (
            "a GIF whose frame is moved on its canvas, which TensorFlow cuts "
            f"off: {TO_PNG}"
        )
    return facts


def _gif_frames(encoded: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yields left, top, right and bottom of each frame, as far as it goes."""
    position = 13 + _num_palette_bytes(encoded[10])
    while position < len(encoded):
        if encoded[position] == 0x2C:
            if position + 10 > len(encoded):
                return
            left, top, width, height, flags = struct.unpack_from(
                "<HHHHB", encoded, position + 1
            )
            yield left, top, left + width, top + height
            position += 11 + _num_palette_bytes(flags)
        elif encoded[position] == 0x21:
            position += 2
        else:
            return
        while position < len(encoded) and encoded[position]:
            position += 1 + encoded[position]
        position += 1


def _num_palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _read_bmp(encoded: bytes) -> dict[str, Any]:
    start, header_size, width, height, num_bits, compression = (
        struct.unpack_from("<IIiixxHI", encoded, 10)
    )
    facts: dict[str, Any] = {"width": max(width, 0), "height": abs(height)}
    if header_size < 40:
        kind = "an OS/2 BMP"
    elif compression not in {0, 3}:
        kind = "a compressed BMP"
    elif num_bits not in {8, 24, 32}:
        kind = f"a BMP of {num_bits} bits a pixel"
    elif num_bits == 8 and not _is_grey(encoded, 14 + header_size, start):
        kind = "a BMP with a palette"
    elif compression == 3 and encoded[54:66] != _BGR_MASKS:
        kind = "a BMP with channels in an order of its own"
    else:
        return facts
    facts["problem"] = (
        f"{kind}, which TensorFlow does not read rightly: {TO_PNG}"
    )
    return facts


# Where in four bytes red, green and blue lie: as TensorFlow takes them.
_BGR_MASKS = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)


def _is_grey(encoded: bytes, start: int, end: int) -> bool:
    """Tells whether each index of a BMP's palette is its own grey level."""
    (num_used,) = struct.unpack_from("<I", encoded, 46)
    num_colours = min((end - start) // 4, num_used or 256, 256)
    return all(
        encoded[start + 4 * level : start + 4 * level + 3] == bytes([level] * 3)
        for level in range(num_colours)
    )


def _read_webp(encoded: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    position = 12
    while position + 8 <= len(encoded):
        kind, length = struct.unpack_from("<4sI", encoded, position)
        start = position + 8
        if position == 12:
            facts |= _webp_size(kind, encoded[start : start + 10])
        elif kind == b"EXIF":
            facts["is_oriented"] = is_block_oriented(
                encoded[start : start + length]
            )
        position = start + length + length % 2
    return facts


def _webp_size(kind: bytes, data: bytes) -> dict[str, int]:
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[4:7], "little")
        height = 1 + int.from_bytes(data[7:10], "little")
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 1)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = struct.unpack_from("<HH", data, 6)
        width, height = width & 0x3FFF, height & 0x3FFF
    return {"width": width, "height": height}


def _read_jpeg_xl(encoded: bytes) -> dict[str, Any]:
    width, height = jpeg_xl.read_size(encoded)
    return {"width": width, "height": height}


_READERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "JPEG": _read_jpeg,
    "JPEG XL": _read_jpeg_xl,
    "PNG": _read_png,
    "GIF": _read_gif,
    "BMP": _read_bmp,
    "WebP": _read_webp,
}
