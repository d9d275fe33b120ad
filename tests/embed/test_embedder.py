"""Tests for `embed.embedder`."""

import dataclasses
import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.blocks import BlockKey
from embed.blocks import list_blocks
from embed.embedder import Embedder
from embed.embedder import check_engine
from embed.embedder import is_oriented
from embed.engines import Engine
from embed.engines import create_engine
from embed.errors import BackboneError
from embed.errors import EngineError
from embed.sources.folder import FolderSource

TURNED, UPRIGHT = 6, 1


@pytest.fixture(name="backbone", scope="module")
def _backbone(tiny_module_dir):
    return load_backbone(
        BackboneRequest(handle=f"hub:{tiny_module_dir}", image_size=(8, 8))
    )


@pytest.fixture(name="create_embedder")
def _create_embedder(picture_folder, backbone):
    """Makes an embedder of the drawn pictures, as they are by then."""

    def create(batch_size=32, views=("plain", "flip"), dtype="float32"):
        return Embedder(
            source=FolderSource(picture_folder),
            engine=create_engine("tensorflow", backbone, batch_size, "float32"),
            image_size=(8, 8),
            views=views,
            dtype=dtype,
        )

    return create


def compute_train(embedder):
    """Returns the block of the training pictures."""
    ((_, block),) = embedder.compute(list_blocks({"train": 30}))
    return block


def encode(pixels, file_format="JPEG", **options):
    """Returns an encoded picture."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format, **options)
    return file.getvalue()


def test_features_are_the_backbones(create_embedder, picture_folder):
    """A picture of one colour has the features computed by hand."""
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:, :10], pixels[:, 10:] = (255, 0, 51), (0, 102, 51)
    path = picture_folder / "train" / "cat" / "00.png"
    path.write_bytes(encode(pixels, "PNG"))
    (picture_folder / "train" / "cat" / "00.jpg").unlink()

    features = compute_train(create_embedder()).features[0]

    # Red left, green right, blue, left minus right half in grey.
    plain = [1.0, 0.4, 0.2, (1.2 - 0.6) / 3]
    mirrored = [0.0, 0.0, 0.2, (0.6 - 1.2) / 3]
    np.testing.assert_allclose(features, [plain, mirrored], atol=1e-6)


def test_each_image_is_decoded_once(create_embedder):
    """Both views come from one decode, whatever the batches."""
    embedder = create_embedder(batch_size=7)

    block = compute_train(embedder)

    assert embedder.num_decoded == 30
    assert embedder.num_computed == 60
    assert block.features.shape == (30, 2, 4)


def test_first_look_costs_no_decode(create_embedder):
    """The batch that checks the engine is shown before it is embedded."""
    embedder = create_embedder(batch_size=4)
    seen = []

    def look(images):
        seen.append((images.shape, embedder.num_computed))

    list(embedder.compute([BlockKey("train", 0, 0, 30)], on_first_images=look))

    assert seen == [((4, 8, 8, 3), 0)]
    assert embedder.num_decoded == 30
    assert embedder.num_computed == 60


@pytest.mark.parametrize("batch_size", [1, 7, 29, 30, 31])
def test_batch_size_does_not_change_rows(create_embedder, batch_size):
    """Batches are padded, never mixed up; rows agree to 1e-6."""
    expected = compute_train(create_embedder(batch_size=32)).features

    features = compute_train(create_embedder(batch_size)).features

    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_rows_do_not_depend_on_what_else_is_computed(create_embedder):
    """A block is bit-identical, computed alone or with all others."""
    keys = [BlockKey("train", n, 10 * n, 10 * n + 10) for n in range(3)]
    together = dict(create_embedder().compute(keys))

    for key in keys:
        ((_, alone),) = create_embedder().compute([key])

        np.testing.assert_array_equal(alone.features, together[key].features)


def test_content_digests_are_of_the_files(create_embedder, picture_folder):
    """Each row knows the bytes that it was computed from."""
    block = compute_train(create_embedder())

    encoded = (picture_folder / "train" / "cat" / "00.jpg").read_bytes()
    digest = hashlib.sha256(encoded).digest()
    assert block.content_digests[0].tobytes() == digest
    assert len(set(map(bytes, block.content_digests))) == 30


def test_bad_picture_is_a_row_of_zeros_with_a_reason(
    create_embedder, picture_folder
):
    """One bad file costs its own row and no other."""
    expected = compute_train(create_embedder()).features
    cats = picture_folder / "train" / "cat"
    (cats / "02.jpg").write_text("I am a text file")
    (cats / "04.jpg").write_bytes(b"")

    block = compute_train(create_embedder())

    good = np.ones(30, bool)
    good[[2, 4]] = False
    np.testing.assert_array_equal(block.is_good, good)
    np.testing.assert_array_equal(block.features[good], expected[good])
    np.testing.assert_array_equal(block.features[~good], np.zeros((2, 2, 4)))
    assert "Unknown image file format" in block.errors[2]
    assert block.errors[4] == "the file is empty"


def test_first_look_leaves_bad_pictures_out(create_embedder, picture_folder):
    """The engine is judged by pictures, not by zeros."""
    (picture_folder / "train" / "cat" / "00.jpg").write_bytes(b"")

    seen = []
    list(
        create_embedder(4).compute(
            [BlockKey("train", 0, 0, 30)], on_first_images=seen.append
        )
    )

    assert [images.shape for images in seen] == [(3, 8, 8, 3)]


def test_one_view(create_embedder):
    """Without the mirror there is one view, equal to view 0 of two."""
    both = compute_train(create_embedder()).features

    plain = compute_train(create_embedder(views=("plain",))).features

    np.testing.assert_array_equal(plain, both[:, :1])


def test_half_precision_rounds_at_the_end(create_embedder):
    """float16 is how features are stored, not how they are computed."""
    exact = compute_train(create_embedder()).features

    stored = compute_train(create_embedder(dtype="float16")).features

    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, exact.astype(np.float16))


def test_progress_adds_up_to_all_views(create_embedder):
    """Every batch reports its views, the last and shorter one too."""
    reported = []
    embedder = create_embedder(batch_size=8)

    list(embedder.compute(list_blocks({"train": 30}), reported.append))

    assert reported == [16, 16, 16, 12]


def test_pictures_with_an_orientation_are_marked(
    create_embedder, picture_folder
):
    """They are embedded as they lie, and counted."""
    exif = Image.Exif()
    exif[0x0112] = TURNED
    path = picture_folder / "train" / "cat" / "00.jpg"
    Image.open(path).save(path, exif=exif)

    block = compute_train(create_embedder())

    assert np.flatnonzero(block.is_oriented).tolist() == [0]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(None, False), (UPRIGHT, False), (TURNED, True)],
)
def test_is_oriented(file_format, orientation, expected):
    """Upright and without a word about it are the same."""
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    pixels = np.zeros((4, 4, 3), np.uint8)

    assert is_oriented(encode(pixels, file_format, exif=exif)) is expected


@pytest.mark.parametrize(
    "encoded", [b"", b"text", b"\xff\xd8\xff\xe1\x00\x08Exif"]
)
def test_what_is_no_picture_is_not_oriented(encoded):
    """Damage is told by the decoder, not here."""
    assert is_oriented(encoded) is False


class ShiftedEngine(Engine):
    """Answers the backbone's features and a little more."""

    def __init__(self, backbone, shift):
        super().__init__(backbone, 4)
        self._backbone, self._shift = backbone, shift

    def _run(self, images):
        return np.asarray(self._backbone.model(images)) + self._shift


@pytest.fixture(name="images")
def _images():
    return np.random.default_rng(0).random((4, 8, 8, 3), np.float32)


def test_right_engine_passes(backbone, images):
    """What differs by less than 1e-4 of the scale is the same."""
    check_engine(ShiftedEngine(backbone, 1e-5), backbone, images, "float32")


@pytest.mark.parametrize("shift", [0.01, -0.01, np.nan])
def test_wrong_engine_is_refused(backbone, images, shift):
    """A hundredth too much, or no number at all, and what to use instead."""
    engine = ShiftedEngine(backbone, shift)

    with pytest.raises(EngineError, match="--engine tensorflow"):
        check_engine(engine, backbone, images, "float32")


def test_constant_features_are_refused(backbone, images):
    """On features that are all alike every comparison would pass."""
    same = np.repeat(images[:1], 4, axis=0)

    with pytest.raises(BackboneError, match="give others with `--weights`"):
        check_engine(ShiftedEngine(backbone, 0), backbone, same, "float32")


@pytest.mark.parametrize("scale", [0.0, 1e-9, np.nan])
def test_features_without_a_scale_are_refused(backbone, images, scale):
    """A fresh network answers features below 1e-11: that is no backbone."""
    import keras

    silent = keras.Sequential([backbone.model, keras.layers.Rescaling(scale)])
    silent_backbone = dataclasses.replace(backbone, model=silent)

    with pytest.raises(BackboneError, match="give others with `--weights`"):
        check_engine(
            ShiftedEngine(silent_backbone, 0),
            silent_backbone,
            images,
            "float32",
        )
