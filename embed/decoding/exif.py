"""The EXIF orientation of a picture: a tag of the TIFF inside its header."""

import struct

ORIENTATION = 0x0112
TURNED_OR_MIRRORED = range(2, 9)  # Of its values, 1 is upright.
SHORT = 3  # The type that it should have.
INTRODUCTION = b"Exif\0\0"  # In a JPEG, before the TIFF.


def is_block_oriented(exif: bytes) -> bool:
    """Tells whether a block of EXIF says that its picture lies turned."""
    block = exif.removeprefix(INTRODUCTION)
    order = ">" if block.startswith(b"MM") else "<"
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (num_entries,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(start + 2, start + 2 + 12 * num_entries, 12):
            tag, kind = struct.unpack_from(f"{order}HH", block, entry)
            if tag == ORIENTATION:
                code = f"{order}H" if kind == SHORT else f"{order}I"
                (value,) = struct.unpack_from(code, block, entry + 8)
                return value in TURNED_OR_MIRRORED
    except struct.error:
        pass
    return False
