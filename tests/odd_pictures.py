"""Odd and damaged pictures, drawn alike every time: what a folder may hold.

The undamaged ones are one smooth picture in many guises; the damaged ones
are of no use to anybody, and each has the reason that must be given for it.
"""

import dataclasses
import io
import struct
import zlib

import numpy as np
from PIL import Image

SIZE = (48, 64)
EXIF_ORIENTATION = 0x0112
LOSSLESS = 0.01  # Tolerances: mean difference in levels of 255.
LOSSY = 3.0
FEW_COLOURS = 6.0
BOMB_SIDE = 60_000


@dataclasses.dataclass(frozen=True)
class OddPicture:
    """One file.

    Args:
        name: Without the ending, unique.
        suffix: The ending, with its dot where it has one.
        encoded: The bytes.
        is_damaged: Whether it must be refused.
        reason: Of a damaged one, a regular expression.
        pixels: Of an undamaged one, uint8 `(height, width, 3)`: the picture
            that it was made from.
        tolerance: Mean difference between the two, in levels of 255.
    """

    name: str
    suffix: str
    encoded: bytes
    is_damaged: bool = False
    reason: str = ""
    pixels: np.ndarray | None = None
    tolerance: float = LOSSLESS


def draw_smooth(size=SIZE, seed=0):
    """Returns uint8 pixels `(height, width, 3)` of gentle slopes."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, (3, 2))
    y, x = (np.linspace(0, 3, n) for n in size)
    waves = [
        np.sin(y + down)[:, None] + np.sin(x + across)[None, :]
        for down, across in phases
    ]
    return np.round(127 + 60 * np.stack(waves, axis=-1)).astype(np.uint8)


def encode(image, file_format, **options):
    """Returns the bytes of a picture."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def odd_pictures():
    """Returns all of them, undamaged first."""
    return [*undamaged_pictures(), *damaged_pictures()]


def undamaged_pictures():
    """Returns those that decode to the picture they were made from."""
    pixels = draw_smooth()
    image = Image.fromarray(pixels)
    grey = image.convert("L")
    grey_pixels = np.repeat(np.array(grey)[..., None], 3, axis=2)
    black_and_white = image.convert("1")
    bits = np.repeat(np.array(black_and_white)[..., None], 3, axis=2)
    few = image.quantize(64)
    few_pixels = np.array(few.convert("RGB"))
    turned = Image.Exif()
    turned[EXIF_ORIENTATION] = 6
    frames = {
        "save_all": True,
        "append_images": [image.rotate(180), image.rotate(90)],
    }
    jpeg = encode(image, "JPEG", quality=95)
    png = encode(image, "PNG")
    gif = encode(image, "GIF")
    wide = draw_smooth((1, 5000))
    dot = draw_smooth((1, 1))
    alpha = np.full(SIZE, 128, np.uint8)
    rgba = Image.fromarray(np.dstack([pixels, alpha]))
    by_name = {
        "plain jpeg.jpg": (jpeg, pixels, LOSSY),
        "jpeg in capitals.JPEG": (jpeg, pixels, LOSSY),
        "jpeg named png.png": (jpeg, pixels, LOSSY),
        "jpeg without ending": (jpeg, pixels, LOSSY),
        "jpeg with more behind it.jpg": (jpeg + b"junk" * 9, pixels, LOSSY),
        "progressive jpeg.jpg": (
            encode(image, "JPEG", quality=95, progressive=True),
            pixels,
            LOSSY,
        ),
        "cmyk jpeg.jpg": (
            encode(image.convert("CMYK"), "JPEG", quality=95),
            pixels,
            LOSSY,
        ),
        "grey jpeg.jpg": (encode(grey, "JPEG", quality=95), grey_pixels, LOSSY),
        "turned by its exif.jpg": (
            encode(image, "JPEG", quality=95, exif=turned),
            pixels,
            LOSSY,
        ),
        "two pictures.mpo": (
            encode(image, "MPO", quality=95, **frames),
            pixels,
            LOSSY,
        ),
        "été 犬 🐶.jpg": (jpeg, pixels, LOSSY),
        "with \"quotes\", 'and' a comma.jpg": (jpeg, pixels, LOSSY),
        "plain png.png": (png, pixels, LOSSLESS),
        "png named jpg.jpg": (png, pixels, LOSSLESS),
        "16-bit grey png.png": (
            encode(
                Image.fromarray(np.array(grey).astype(np.uint16) * 257), "PNG"
            ),
            grey_pixels,
            LOSSLESS,
        ),
        "16-bit rgb png.png": (_png_of_16_bits(pixels), pixels, LOSSLESS),
        "palette png.png": (encode(few, "PNG"), few_pixels, LOSSLESS),
        "1-bit png.png": (
            encode(black_and_white, "PNG"),
            bits * np.uint8(255),
            LOSSLESS,
        ),
        "png with transparency.png": (encode(rgba, "PNG"), pixels, LOSSLESS),
        "grey png with transparency.png": (
            encode(Image.merge("LA", (grey, Image.fromarray(alpha))), "PNG"),
            grey_pixels,
            LOSSLESS,
        ),
        "animated png.apng": (encode(image, "PNG", **frames), pixels, LOSSLESS),
        "gif.gif": (gif, pixels, FEW_COLOURS),
        "animated gif.gif": (
            encode(image, "GIF", **frames),
            pixels,
            FEW_COLOURS,
        ),
        "gif without its last byte.gif": (gif[:-1], pixels, FEW_COLOURS),
        "bmp.bmp": (encode(image, "BMP"), pixels, LOSSLESS),
        "bmp from the top down.dib": (_bmp_top_down(pixels), pixels, LOSSLESS),
        "grey bmp.bmp": (encode(grey, "BMP"), grey_pixels, LOSSLESS),
        "bmp with transparency.bmp": (encode(rgba, "BMP"), pixels, LOSSLESS),
        "webp.webp": (encode(image, "WEBP", quality=95), pixels, LOSSY),
        "webp without loss.webp": (
            encode(image, "WEBP", lossless=True),
            pixels,
            LOSSLESS,
        ),
        "jpeg xl.jxl": (JPEG_XL, draw_ramps(), LOSSLESS),
        "very wide.png": (encode(Image.fromarray(wide), "PNG"), wide, LOSSLESS),
        "one pixel.png": (encode(Image.fromarray(dot), "PNG"), dot, LOSSLESS),
    }
    return [
        OddPicture(*_split(name), encoded, pixels=plain, tolerance=tolerance)
        for name, (encoded, plain, tolerance) in by_name.items()
    ]


def damaged_pictures():
    """Returns those that must be refused."""
    image = Image.fromarray(draw_smooth())
    rng = np.random.default_rng(1)
    jpeg, png, gif, bmp, webp = (
        encode(image, name) for name in ("JPEG", "PNG", "GIF", "BMP", "WEBP")
    )
    frames = {"save_all": True, "append_images": [image.rotate(180)]}
    tiff = encode(image, "TIFF")
    few = image.quantize(64)
    clear = np.dstack([draw_smooth(), draw_smooth(seed=1)[..., 0]])
    by_name = {
        "nothing.jpg": (b"", "the file is empty"),
        "zeros.jpg": (bytes(4096), "nothing but zeros"),
        "noise.jpg": (b"\x8a" + rng.bytes(4096), "of no known picture format"),
        "text.jpg": ("Ein Bär.\n".encode() * 90, "it is text, no picture"),
        "bmw.bmp": (b"BMW builds cars, no bitmaps.\n", "it is text"),
        "page.jpg": (b"\n<!DOCTYPE html><html>404</html>", "it is HTML"),
        "git lfs.jpg": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "`git lfs pull`",
        ),
        "document.jpg": (b"%PDF-1.7\n%\xe2\xe3", "a PDF, no picture"),
        "archive.png": (b"PK\x03\x04\x14\x00", "a ZIP archive, no picture"),
        "tiff.tif": (tiff, "a TIFF, .* convert it to JPEG or PNG"),
        "tiff named jpg.jpg": (tiff, "a TIFF, .* convert it to JPEG or PNG"),
        "heic.heic": (b"\0\0\0\x18ftypheic" + bytes(99), "a HEIC, .* convert"),
        "avif.avif": (b"\0\0\0\x1cftypavif" + bytes(99), "an AVIF, .* convert"),
        "drawing.svg": (b"<?xml version='1.0'?><svg/>", "an SVG, .* convert"),
        "icon.ico": (encode(image, "ICO"), "an icon file, .* convert"),
        "netpbm.ppm": (encode(image, "PPM"), "a PNM, .* convert"),
        "two bytes of a jpeg.jpg": (jpeg[:2], "truncated or damaged JPEG"),
        "jpeg of start and end.jpg": (jpeg[:2] + jpeg[-2:], "damaged JPEG"),
        "noise in the tables of a jpeg.jpg": (
            jpeg[:20] + rng.bytes(300) + jpeg[320:],
            "damaged JPEG",
        ),
        "12-bit jpeg.jpg": (_jpeg_of_12_bits(jpeg), "12-bit JPEG"),
        "noise in a png.png": (
            png[:60] + rng.bytes(40) + png[100:],
            "damaged PNG",
        ),
        "png of no pixels.png": (_png(0, 0), "damaged PNG"),
        "png with its line ends changed.png": (
            png.replace(b"\r\n", b"\n"),
            "damaged PNG",
        ),
        "bomb by its header.png": (
            _png(BOMB_SIDE, BOMB_SIDE),
            "60,000 x 60,000 pixels, .* 89,478,485: .* `--max-pixels`",
        ),
        "bomb.png": (
            _png(10_000, 9_000, zlib.compress(bytes(9_000 * 1_251))),
            "10,000 x 9,000 pixels, .* `--max-pixels`",
        ),
        "bomb of frames.gif": (_gif_of_frames(8_000, 8_000, 5), "frames have"),
        "gif moved on its canvas.gif": (_gif_moved(gif), "cuts off"),
        "bmp with a palette.bmp": (encode(few, "BMP"), "BMP with a palette"),
        "bmp of 4 bits.bmp": (_bmp_header(4, 0), "of 4 bits a pixel"),
        "bmp of 16 bits.bmp": (_bmp_header(16, 0), "of 16 bits a pixel"),
        "compressed bmp.bmp": (_bmp_header(8, 1), "a compressed BMP"),
        "bmp of os2.bmp": (
            b"BM"
            + struct.pack("<IIIIHHHH", 38, 0, 26, 12, 2, 2, 1, 24)
            + bytes(16),
            "an OS/2 BMP",
        ),
        "animated webp.webp": (
            encode(image, "WEBP", **frames),
            "animated WebP: save its first frame",
        ),
        "webp with transparency.webp": (
            encode(Image.fromarray(clear), "WEBP"),
            "with transparency, .* convert it to PNG",
        ),
    }
    for name, whole in {
        "jpeg.jpg": jpeg,
        "png.png": png,
        "gif.gif": gif,
        "bmp.bmp": bmp,
        "webp.webp": webp,
    }.items():
        kind = "WebP" if name == "webp.webp" else name[-3:].upper()
        kind = "JPEG" if kind == "JPG" else kind
        for percent in (25, 50, 95):
            cut = whole[: len(whole) * percent // 100]
            by_name[f"{percent} percent of a {name}"] = (
                cut,
                f"truncated or damaged {kind}",
            )
    return [
        OddPicture(*_split(name), encoded, is_damaged=True, reason=reason)
        for name, (encoded, reason) in by_name.items()
    ]


def draw_ramps():
    """Returns the pixels of `JPEG_XL`."""
    y, x = np.mgrid[0:48, 0:64]
    ramps = np.stack([40 + 2.5 * x, 200 - 3 * y, 60 + 1.2 * (x + y)], axis=-1)
    return ramps.clip(0, 255).astype(np.uint8)


JPEG_XL = bytes.fromhex(  # Pillow writes none; by pillow-jxl-plugin 1.3.8.
    "ff0acb40240800010034024b2831dd3cab877ec8c50e120aa3a0a0a0e088c640"
    "44018870c26ec6e07c8c48441bc7c0ff8a9500000121800182f006c0f6008c0a"
    "006283f801395ee3e6f96ef95544d00d80c5feffffffffff2355555555555555"
    "956e1d786f111f955620e08b048e739b1eeb78140d13007103e9d81c67a21b81"
    "df73897937e09d4fba9745d84bd61ea2ec463609bb57d307"
)


def _split(name):
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if dot else (name, "")


def _png(width, height, data=b""):
    """Returns a PNG of one bit a pixel, or its beginning."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*c) for c in chunks)


def _png_of_16_bits(pixels):
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = (pixels.astype(np.uint16) * 257).astype(">u2").reshape(height, -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*c) for c in chunks)


def _chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
    )


def _jpeg_of_12_bits(jpeg):
    precision = jpeg.index(b"\xff\xc0") + 4
    return jpeg[:precision] + b"\x0c" + jpeg[precision + 1 :]


def _gif_moved(gif):
    """Moves the frame of a GIF to the right and down."""
    start = gif.index(b"\x2c\0\0\0\0") + 1
    return gif[:start] + struct.pack("<HH", 16, 12) + gif[start + 4 :]


def _gif_of_frames(width, height, num_frames):
    """Returns a GIF whose frames hold no data, but say that they are large."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\0"
    screen = struct.pack("<HHBBB", width, height, 0, 0, 0)
    return b"GIF89a" + screen + frame * num_frames + b"\x3b"


def _bmp_header(num_bits, compression):
    info = (40, 8, 8, 1, num_bits, compression, 0, 0, 0, 0, 0)
    return (
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 182, 0, 54, *info) + bytes(128)
    )


def _bmp_top_down(pixels):
    height, width, _ = pixels.shape
    info = (40, width, -height, 1, 24, 0, 0, 0, 0, 0, 0)
    header = struct.pack("<IIIIiiHHIIiiII", 54 + pixels.size, 0, 54, *info)
    return b"BM" + header + pixels[..., ::-1].tobytes()
