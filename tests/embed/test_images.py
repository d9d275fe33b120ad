"""Tests for `embed.images`."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import embed.images
from embed.decoding.header import read_header
from embed.images import ImageDecodeError
from embed.images import ImageDecoder
from embed.images import decode_and_resize
from embed.views import Frame
from embed.views import find_view
from tests.odd_pictures import damaged_pictures
from tests.odd_pictures import undamaged_pictures

LEVELS = 255


def encode(pixels, file_format="PNG", mode=None, **options):
    """Returns the encoded picture of uint8 pixels."""
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    if mode:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def columns(levels):
    """Returns one row of grey pixels, RGB `(1, width, 3)`."""
    return np.repeat(np.array(levels)[None, :, None], 3, axis=2)


def test_same_size_keeps_every_level():
    """Without a resize each pixel is its level over 255."""
    pixels = np.arange(2 * 3 * 3).reshape(2, 3, 3) * 15

    decoded = ImageDecoder((2, 3))(encode(pixels))

    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, pixels / 255, rtol=1e-6)


def test_enlarging_is_bilinear_between_pixel_centres():
    """Pixel centres lie at halves: 0 1 becomes 0 1/4 3/4 1."""
    decoded = ImageDecoder((1, 4))(encode(columns([0, 255])))

    np.testing.assert_allclose(
        decoded, columns([0.0, 0.25, 0.75, 1.0]), atol=1e-6
    )


def test_shrinking_does_not_antialias():
    """Of each four columns the middle two count, as in the reference."""
    levels = [255, 51, 102, 255, 0, 153, 204, 0]

    decoded = ImageDecoder((1, 2))(encode(columns(levels)))

    np.testing.assert_allclose(decoded, columns([0.3, 0.7]), atol=1e-6)


def test_height_comes_first():
    """Sizes are `(height, width)`."""
    decoded = ImageDecoder((3, 5))(encode(np.zeros((7, 2, 3))))

    assert decoded.shape == (3, 5, 3)


def test_grey_becomes_rgb():
    """A grey picture has three equal channels."""
    decoded = ImageDecoder((1, 2))(encode([[0, 102]]))

    np.testing.assert_allclose(decoded, columns([0.0, 0.4]), atol=1e-6)


def test_palette_becomes_rgb():
    """A palette picture shows its colours, not its indices."""
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 51, 0, 102, 0])
    image.putdata([0, 1])
    file = io.BytesIO()
    image.save(file, "PNG")

    decoded = ImageDecoder((1, 2))(file.getvalue())

    np.testing.assert_allclose(decoded, [[[1, 0, 0.2], [0, 0.4, 0]]], atol=1e-6)


def test_transparency_is_dropped():
    """A transparent pixel keeps its colour: nothing is blended."""
    decoded = ImageDecoder((1, 1))(encode([[[51, 102, 153, 0]]]))

    np.testing.assert_allclose(decoded, [[[0.2, 0.4, 0.6]]], atol=1e-6)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF", "JPEG"])
def test_formats(file_format):
    """Each of the four formats gives the same grey, JPEG but for a level."""
    encoded = encode(np.full((8, 8, 3), 102), file_format)

    decoded = ImageDecoder((2, 2))(encoded)

    np.testing.assert_allclose(decoded, 0.4, atol=1.01 / 255)


def test_first_frame_of_a_gif():
    """An animation is its first frame."""
    frames = [Image.new("L", (4, 4), level) for level in (255, 0)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])

    decoded = ImageDecoder((4, 4))(file.getvalue())

    np.testing.assert_array_equal(decoded, np.ones((4, 4, 3)))


def test_exif_orientation_is_not_applied():
    """As in the reference, a picture lies as its pixels lie."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn by a quarter to see it upright.
    pixels = np.zeros((16, 16, 3))
    pixels[:, :8] = 255

    turned = ImageDecoder((2, 2))(encode(pixels, "JPEG", exif=exif))
    upright = ImageDecoder((2, 2))(encode(pixels, "JPEG"))

    np.testing.assert_array_equal(turned, upright)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello, I am a text file\n", "it is text, no picture"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (encode(np.zeros((64, 64, 3)))[:60], "PNG"),
        (encode(np.zeros((64, 64, 3)), "JPEG")[:300], "JPEG"),
    ],
    ids=["empty", "text", "jpeg-magic", "half-png", "half-jpeg"],
)
def test_what_is_no_picture_is_refused_in_one_line(encoded, reason):
    """The reason is one readable line without TensorFlow's graph nodes."""
    with pytest.raises(ImageDecodeError, match=reason) as caught:
        ImageDecoder((8, 8))(encoded)

    text = str(caught.value)
    assert text
    assert "\n" not in text
    assert text == text.strip()
    for trace in ("{{", "}}", "[[", "__inference"):
        assert trace not in text


def test_threads_decode_what_one_thread_decodes():
    """A decoder may be called from several threads at once."""
    rng = np.random.default_rng(0)
    encoded = [
        encode(rng.integers(0, 256, (20, 30, 3)), "JPEG") for _ in range(40)
    ]
    decode = ImageDecoder((8, 8))
    expected = [decode(one) for one in encoded]

    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(decode, encoded))

    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("odd", undamaged_pictures(), ids=lambda odd: odd.name)
def test_odd_pictures_are_what_they_were_made_from(odd):
    """Whatever kind and name, the pixels are those of the plain picture."""
    decode = ImageDecoder(odd.pixels.shape[:2])

    decoded = decode(odd.encoded) * LEVELS

    assert np.abs(decoded - odd.pixels).mean() <= odd.tolerance


@pytest.mark.parametrize("odd", undamaged_pictures(), ids=lambda odd: odd.name)
def test_pixels_are_those_of_the_graph(odd):
    """What is looked at before changes no bit of what is decoded."""
    expected = decode_and_resize(odd.encoded, (8, 8)).numpy()

    np.testing.assert_array_equal(ImageDecoder((8, 8))(odd.encoded), expected)


@pytest.mark.parametrize(
    ("name", "rows", "columns_of_it"),
    [
        ("center", slice(1, 9), slice(1, 13)),
        ("center+flip", slice(1, 9), slice(12, 0, -1)),
        ("top-left", slice(0, 8), slice(0, 12)),
        ("top-right", slice(0, 8), slice(3, 15)),
        ("bottom-left+flip", slice(2, 10), slice(11, None, -1)),
        ("bottom-right", slice(2, 10), slice(3, 15)),
    ],
)
def test_parts_are_cut_out_at_full_size(name, rows, columns_of_it):
    """Of 10 x 15 pixels 8 x 12, which nothing resizes at that input size."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 15, 3))
    view = find_view(name)

    (part,) = ImageDecoder((8, 12)).decode(
        encode(pixels), (view.frame((8, 12)),)
    )

    expected = pixels[rows, columns_of_it] / LEVELS
    np.testing.assert_allclose(view.turn(part), expected, atol=1e-6)


def test_a_scale_is_the_whole_picture_at_that_size():
    """At half the size each pixel is the mean of two by two."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 10, 3))
    frame = find_view("scale5").frame((8, 8))

    (small,) = ImageDecoder((8, 8)).decode(encode(pixels), (frame,))

    means = pixels.reshape(5, 2, 5, 2, 3).mean((1, 3)) / LEVELS
    np.testing.assert_allclose(small, means, atol=1e-6)


def test_frames_come_in_any_company_with_the_same_bits():
    """A view that is added later is what it would have been at first."""
    rng = np.random.default_rng(0)
    encoded = encode(rng.integers(0, 256, (50, 70, 3)), "JPEG")
    decoder = ImageDecoder((8, 8))
    names = ("plain", "center", "scale12", "top-left")
    frames = tuple(find_view(name).frame((8, 8)) for name in names)

    together = decoder.decode(encoded, frames)

    np.testing.assert_array_equal(together[0], decoder(encoded))
    for frame, pixels in zip(frames, together, strict=True):
        np.testing.assert_array_equal(
            decoder.decode(encoded, (frame,))[0], pixels
        )


def test_a_picture_of_one_pixel_has_every_view():
    """Its middle and its corners are that pixel."""
    frames = tuple(
        find_view(name).frame((2, 2)) for name in ("center", "bottom-right")
    )

    for pixels in ImageDecoder((2, 2)).decode(encode([[[0, 51, 255]]]), frames):
        np.testing.assert_allclose(pixels, [[[0, 0.2, 1]] * 2] * 2, atol=1e-6)


@pytest.mark.parametrize("odd", damaged_pictures(), ids=lambda odd: odd.name)
def test_damaged_pictures_say_what_is_wrong(odd):
    """Each is refused, in one line, with a reason of its own."""
    with pytest.raises(ImageDecodeError, match=odd.reason) as caught:
        ImageDecoder((8, 8))(odd.encoded)

    assert "\n" not in str(caught.value)


def decode_each(decoder, pictures, frames):
    """Returns what `decode` returns or raises, picture by picture."""
    found = []
    for encoded in pictures:
        try:
            found.append(decoder.decode(encoded, frames))
        except ImageDecodeError as error:
            found.append(str(error))
    return found


def decode_all(decoder, pictures, frames):
    """Returns what `decode_all` does, errors as their text."""
    headers = list(map(read_header, pictures))
    return [
        str(found) if isinstance(found, ImageDecodeError) else found
        for found in decoder.decode_all(pictures, frames, headers)
    ]


def random_pictures(num_pictures, file_format="JPEG"):
    """Returns pictures of noise, each of another size."""
    rng = np.random.default_rng(0)
    return [
        encode(rng.integers(0, 256, (20 + i, 40 - i, 3)), file_format)
        for i in range(num_pictures)
    ]


@pytest.fixture(name="calls")
def _calls(monkeypatch):
    """How many pictures each call of TensorFlow decodes."""
    decode, calls = embed.images._decode_together, []

    def count(encoded, frames):
        calls.append(len(encoded))
        return decode(encoded, frames)

    monkeypatch.setattr(embed.images, "_decode_together", count)
    return calls


def test_eight_pictures_in_one_call_have_the_same_bits(calls):
    """Of each frame, whatever their sizes and formats."""
    pictures = random_pictures(5) + random_pictures(3, "PNG")
    names = ("plain", "center", "scale12")
    frames = tuple(find_view(name).frame((8, 8)) for name in names)
    decoder = ImageDecoder((8, 8))
    expected = decode_each(decoder, pictures, frames)
    calls.clear()

    found = decode_all(decoder, pictures, frames)

    assert calls == [8]
    np.testing.assert_equal(found, expected)


@pytest.mark.parametrize("num_pictures", [0, 1, 7])
def test_fewer_pictures_are_decoded_one_by_one(calls, num_pictures):
    """A graph for each number would take longer to draw than it saves."""
    pictures, frames = random_pictures(num_pictures), (Frame((8, 8)),)
    decoder = ImageDecoder((8, 8))

    found = decode_all(decoder, pictures, frames)

    assert calls == num_pictures * [1]
    np.testing.assert_equal(found, decode_each(decoder, pictures, frames))


@pytest.mark.parametrize("odd", damaged_pictures(), ids=lambda odd: odd.name)
def test_a_damaged_picture_spoils_no_other(odd):
    """Seven others have their pixels, and it says what is wrong with it."""
    pictures, frames = random_pictures(8), (Frame((8, 8)),)
    pictures[3] = odd.encoded
    decoder = ImageDecoder((8, 8))

    found = decode_all(decoder, pictures, frames)

    assert [i for i in range(8) if isinstance(found[i], str)] == [3]
    np.testing.assert_equal(found, decode_each(decoder, pictures, frames))


def test_large_pictures_are_not_in_memory_together(calls):
    """Where eight have as many pixels as is ordinary they are, no more."""
    small, large = np.zeros((480, 640)), np.zeros((480, 641))
    pictures, frames = 7 * [encode(small)], (Frame((8, 8)),)
    decoder = ImageDecoder((8, 8))

    for last, expected in ((small, [8]), (large, 8 * [1])):
        calls.clear()
        decode_all(decoder, [*pictures, encode(last)], frames)
        assert calls == expected


def test_limit_is_what_the_caller_says():
    """A picture as large as the limit passes, one pixel more does not."""
    encoded = encode(np.zeros((4, 6, 3)))

    assert ImageDecoder((2, 2), max_pixels=24)(encoded).shape == (2, 2, 3)
    with pytest.raises(ImageDecodeError, match=r"6 x 4 .* 23: .*--max-pixels"):
        ImageDecoder((2, 2), max_pixels=23)(encoded)


def test_what_tensorflow_never_decodes_is_no_matter_of_the_limit():
    """A limit raised to the sky meets TensorFlow's own."""
    (bomb,) = (p for p in damaged_pictures() if p.name == "bomb by its header")

    with pytest.raises(ImageDecodeError, match="make it smaller"):
        ImageDecoder((2, 2), max_pixels=10**12)(bomb.encoded)


def test_limit_of_pillow_says_nothing(monkeypatch):
    """Pillow's limit is of the whole process: other code may have set it."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)

    decoded = ImageDecoder((2, 2))(encode(np.zeros((4, 6, 3))))

    assert decoded.shape == (2, 2, 3)


def test_header_that_is_known_is_not_read_again():
    """A caller that has read the header may hand it over."""
    encoded = encode(np.full((4, 6, 3), 102))

    decoded = ImageDecoder((1, 1))(encoded, read_header(encoded))

    np.testing.assert_allclose(decoded, 0.4, atol=1e-6)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [None, 0, 1, 3, 6, 8])
def test_is_oriented(file_format, orientation):
    """Upright, unknown and without a word about it are the same."""
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation

    encoded = encode(np.zeros((4, 4, 3)), file_format, exif=exif)

    assert read_header(encoded).is_oriented is (orientation in {3, 6, 8})


@pytest.mark.parametrize(
    "encoded", [b"", b"text", b"\xff\xd8\xff\xe1\x00\x08Exif"]
)
def test_what_is_no_picture_is_not_oriented(encoded):
    """Damage is told by the decoder, not here."""
    assert read_header(encoded).is_oriented is False
