"""Picture formats: by the ending of a name, and by the first bytes.

The six of `DECODED` are what `tf.io.decode_image` of TensorFlow 2.21 reads;
the others are known so that a picture of theirs is named, never passed over.
"""

import codecs

NUM_FIRST_BYTES = 512  # Enough for every signature below, and to know a text.

DECODED = ("JPEG", "JPEG XL", "PNG", "GIF", "BMP", "WebP")
FORMATS = f"{', '.join(DECODED[:-1])} or {DECODED[-1]}"  # In words.
DECODED_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp"),
        *(".mpo", ".jxl", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp"),
    }
)
OTHER_SUFFIXES = frozenset(
    {
        *(".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k"),
        *(".j2c", ".jpf", ".jpx", ".ico", ".cur", ".icns", ".pbm", ".pgm"),
        *(".ppm", ".pnm", ".pam", ".tga", ".psd", ".psb", ".svg", ".svgz"),
        *(".eps", ".xcf", ".dds", ".exr", ".qoi", ".pcx", ".dcm", ".raw"),
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf"),
        *(".sr2", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f", ".kdc"),
    }
)
PICTURE_SUFFIXES = DECODED_SUFFIXES | OTHER_SUFFIXES

# Of the headers that follow a BMP's first 14 bytes; `BM` alone starts texts.
BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
JXL_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_DECODED_SIGNATURES = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"\xff\x0a", "JPEG XL"),
    (JXL_CONTAINER, "JPEG XL"),
)
_OTHER_SIGNATURES = (
    (b"II*\0", "a TIFF"),  # Also most of the raw kinds.
    (b"MM\0*", "a TIFF"),
    (b"II+\0", "a TIFF"),
    (b"MM\0+", "a TIFF"),
    (b"IIU\0", "a raw photo"),
    (b"IIRO", "a raw photo"),
    (b"MMOR", "a raw photo"),
    (b"FUJIFILMCCD-RAW", "a raw photo"),
    (b"FOVb", "a raw photo"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"8BPS", "a Photoshop file"),
    (b"gimp xcf", "a GIMP file"),
    (b"%!PS-Adobe", "a PostScript file"),
    (b"icns", "an icon file"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"DDS ", "a DirectDraw surface"),
    (b"qoif", "a QOI picture"),
)
_BRANDS = {  # Of the `ftyp` box at the start of ISO media files.
    **dict.fromkeys((b"avif", b"avis"), "an AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis"), "a HEIC"),
    **dict.fromkeys((b"mif1", b"msf1"), "a HEIF"),
    b"crx ": "a raw photo",
}
_NO_PICTURES = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1a\x45\xdf\xa3", "a video"),
)
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_GIT_LFS = b"version https://git-lfs.github.com/spec/"


def detect_decoded(encoded: bytes) -> str:
    """Returns the format that bytes start like, one of `DECODED`, or `""`."""
    for signature, name in _DECODED_SIGNATURES:
        if encoded.startswith(signature):
            return name
    if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
        return "WebP"
    header_size = int.from_bytes(encoded[14:18], "little")
    if encoded.startswith(b"BM") and header_size in BMP_HEADER_SIZES:
        return "BMP"
    return ""


def is_picture(first_bytes: bytes) -> bool:
    """Tells whether bytes start like a picture, decoded or not."""
    return bool(detect_decoded(first_bytes) or _detect_other(first_bytes))


def explain_refusal(encoded: bytes) -> str:
    """Says what bytes are that start like nothing that is decoded."""
    first_bytes = encoded[:NUM_FIRST_BYTES]
    if name := _detect_other(first_bytes):
        return (
            f"{name}, which TensorFlow does not read: convert it to JPEG or PNG"
        )
    if not encoded.strip(b"\0"):
        return "it holds nothing but zeros: copy it again"
    if first_bytes.startswith(_GIT_LFS):
        return "a pointer of Git LFS, no picture: fetch it with `git lfs pull`"
    for signature, name in _NO_PICTURES:
        if first_bytes.startswith(signature):
            return f"it is {name}, no picture"
    if _without_space(first_bytes).lower().startswith(_HTML_STARTS):
        return "it is HTML, no picture"
    if _is_text(first_bytes):
        return "it is text, no picture"
    return "it is of no known picture format"


def _detect_other(first_bytes: bytes) -> str:
    """Returns the name, with its article, of a format that is not decoded."""
    for signature, name in _OTHER_SIGNATURES:
        if first_bytes.startswith(signature):
            return name
    if first_bytes[4:8] == b"ftyp":
        return _BRANDS.get(first_bytes[8:12], "")
    if first_bytes[:2] in {b"P%d" % n for n in range(1, 7)}:  # Netpbm.
        starts = first_bytes[2:].lstrip()[:1]  # A size, or a comment.
        is_pnm = first_bytes[2:3].isspace() and starts in b"#0123456789"
        return "a PNM" if is_pnm and starts else ""
    # Reserved zeros, the kind, and how many icons or cursors follow.
    if first_bytes[:4] in {b"\0\0\1\0", b"\0\0\2\0"}:
        has_few = 0 < int.from_bytes(first_bytes[4:6], "little") < 256
        return "an icon file" if has_few else ""
    start = _without_space(first_bytes)
    if start.startswith(b"<svg") or (
        start.startswith((b"<?xml", b"<!--")) and b"<svg" in start
    ):
        return "an SVG"
    return ""


def _without_space(first_bytes: bytes) -> bytes:
    return first_bytes.removeprefix(codecs.BOM_UTF8).lstrip()


def _is_text(first_bytes: bytes) -> bool:
    """Tells UTF-8 without control characters, cut anywhere."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(first_bytes)
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)
