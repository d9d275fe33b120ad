"""The size of a JPEG XL picture, as its codestream starts (ISO/IEC 18181-1).

| field | bits | |
|---|---|---|
| signature | 16 | `ff 0a` |
| is_small | 1 | then each length is 5 bits, in steps of 8 pixels |
| height | 5, or 2 and 9, 13, 18 or 30 | less one |
| ratio | 3 | width to height, or 0: the width follows like the height |
"""

import struct

from embed.decoding.formats import JXL_CONTAINER

_NUM_BYTES = 18  # The longest size, 16 bits of signature before it.
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def read_size(encoded: bytes) -> tuple[int, int]:
    """Returns width and height of a picture, before its orientation."""
    bits = int.from_bytes(_codestream(encoded)[2:], "little")

    def take(num_bits: int) -> int:
        nonlocal bits
        value = bits & ((1 << num_bits) - 1)
        bits >>= num_bits
        return value

    is_small = take(1)

    def take_length() -> int:
        if is_small:
            return 8 * (1 + take(5))
        return 1 + take((9, 13, 18, 30)[take(2)])

    height = take_length()
    ratio = take(3)
    if not ratio:
        return take_length(), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _codestream(encoded: bytes) -> bytes:
    """Returns its first bytes, out of the boxes of a container if need be."""
    if not encoded.startswith(JXL_CONTAINER):
        return encoded[:_NUM_BYTES]
    parts = b""
    position = len(JXL_CONTAINER)
    while len(parts) < _NUM_BYTES and position + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, position)
        start = position + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", encoded, start)
            start += 8
        end = position + length if length else len(encoded)
        if kind in {b"jxlc", b"jxlp"}:  # The whole of it, or numbered parts.
            start += 4 if kind == b"jxlp" else 0
            parts += encoded[start : min(end, start + _NUM_BYTES)]
        position = max(end, start)
    return parts
