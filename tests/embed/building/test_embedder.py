"""Tests for `embed.building.embedder`."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

import embed.building.embedder
from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.building.blocks import BlockKey
from embed.building.embedder import Embedder
from embed.building.plan import Task
from embed.engines import Engine
from embed.engines import create_engine
from embed.errors import EngineError
from embed.images import ImageDecoder
from embed.sources.folder import FolderSource

BOTH = ("plain", "flip")
TURNED = 6


class ConstantEngine(Engine):
    """Answers one after another of some values for all features."""

    def __init__(self, backbone, values):
        super().__init__(backbone, batch_size=30)
        self._values = iter(values)

    def _run(self, images):
        return np.full((len(images), 4), next(self._values), np.float32)


class CountingSource(FolderSource):
    """Counts what is asked of it in one call."""

    def __init__(self, root):
        super().__init__(root)
        self.calls = []

    def read(self, split, rows):
        """Yields one picture a row."""
        self.calls.append((split, list(rows)))
        return super().read(split, rows)


@pytest.fixture(name="backbone", scope="module")
def _backbone(tiny_module_dir):
    return load_backbone(
        BackboneRequest(handle=f"hub:{tiny_module_dir}", image_size=(8, 8))
    )


@pytest.fixture(name="create_embedder")
def _create_embedder(picture_folder, backbone):
    """Makes an embedder of the drawn pictures, as they are by then."""

    def create(
        batch_size=32,
        dtype="float32",
        max_pixels=10**6,
        source=None,
        engine=None,
    ):
        return Embedder(
            source=source or FolderSource(picture_folder),
            engine=engine
            or create_engine("tensorflow", backbone, batch_size, "float32"),
            decoder=ImageDecoder((8, 8), max_pixels),
            feature_dim=4,
            dtype=dtype,
        )

    return create


def make_task(rows=range(30), views=BOTH, number=0):
    """Returns the task of some training rows."""
    rows = np.array(rows)
    key = BlockKey("train", number, int(rows[0]), int(rows[-1]) + 1)
    return Task(key, rows, views)


def compute_train(embedder, views=BOTH):
    """Returns what comes of all training pictures."""
    ((_, result),) = embedder.compute([make_task(views=views)])
    return result


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

    result = compute_train(embedder)

    assert embedder.num_decoded == 30
    assert embedder.num_computed == 60
    assert result.features.shape == (30, 2, 4)


def test_first_look_costs_no_decode(create_embedder):
    """The batch that checks the engine is shown before it is embedded."""
    embedder = create_embedder(batch_size=4)
    seen = []

    def look(images):
        seen.append((images.shape, embedder.num_computed))

    list(embedder.compute([make_task()], on_first_images=look))

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
    """A task has the same bits, computed alone or with all others."""
    tasks = [
        make_task(range(10 * number, 10 * number + 10), number=number)
        for number in range(3)
    ]
    together = [result for _, result in create_embedder().compute(tasks)]

    for task, expected in zip(tasks, together, strict=True):
        ((_, alone),) = create_embedder().compute([task])

        np.testing.assert_array_equal(alone.features, expected.features)


def test_rows_and_views_are_those_of_the_task(create_embedder):
    """Some rows of a block, some views: no other picture is decoded."""
    whole = compute_train(create_embedder())
    embedder = create_embedder(batch_size=4)
    tasks = [make_task([1, 7, 28], ("flip",)), make_task([0, 29], BOTH)]

    (first, flips), (_, both) = embedder.compute(tasks)

    assert first is tasks[0]
    assert (embedder.num_decoded, embedder.num_computed) == (5, 7)
    assert flips.rows.tolist() == [1, 7, 28]
    np.testing.assert_allclose(
        flips.features[:, 0], whole.features[[1, 7, 28], 1], atol=1e-6
    )
    np.testing.assert_allclose(
        both.features, whole.features[[0, 29]], atol=1e-6
    )


def test_tasks_are_told_before_they_are_run(create_embedder):
    """A journal counts a task before the first of its views is computed."""
    embedder = create_embedder(batch_size=4)
    tasks = [make_task(range(15)), make_task(range(15, 30), number=1)]
    seen = []

    list(
        embedder.compute(
            tasks,
            on_task=lambda task: seen.append((task, embedder.num_computed)),
        )
    )

    assert seen == [(tasks[0], 0), (tasks[1], 30)]


def test_content_digests_are_of_the_files(create_embedder, picture_folder):
    """Each row knows the bytes that it was computed from."""
    result = compute_train(create_embedder())

    encoded = (picture_folder / "train" / "cat" / "00.jpg").read_bytes()
    digest = hashlib.sha256(encoded).digest()
    assert result.content_digests[0].tobytes() == digest
    assert len(set(map(bytes, result.content_digests))) == 30


def test_bad_pictures_are_set_aside_with_a_reason(
    create_embedder, picture_folder
):
    """Bad files cost their own rows and no other."""
    expected = compute_train(create_embedder())
    cats = picture_folder / "train" / "cat"
    (cats / "02.jpg").write_text("I am a text file")
    (cats / "04.jpg").write_bytes(b"")

    result = compute_train(create_embedder())

    good = np.delete(np.arange(30), [2, 4])
    assert result.rows.tolist() == good.tolist()
    # Their neighbours moved into other batches.
    np.testing.assert_allclose(
        result.features, expected.features[good], atol=1e-6
    )
    np.testing.assert_array_equal(
        result.content_digests, expected.content_digests[good]
    )
    text, empty = result.bad
    assert (text.row, empty.row) == (2, 4)
    assert text.reason
    assert empty.reason == "the file is empty"
    digest = hashlib.sha256(b"I am a text file").digest()
    assert text.content_digest == digest


def test_pictures_that_are_gone_are_bad(create_embedder, picture_folder):
    """A file that cannot be read has no content and is not decoded."""
    embedder = create_embedder()
    (picture_folder / "train" / "cat" / "02.jpg").unlink()

    result = compute_train(embedder)

    (bad,) = result.bad
    assert (bad.row, bad.content_digest) == (2, b"")
    assert "cannot be read" in bad.reason
    assert embedder.num_decoded == 29


def test_bad_pictures_alone_leave_no_rows(create_embedder, picture_folder):
    """A task of which nothing is good still has its shapes."""
    for path in (picture_folder / "train" / "cat").iterdir():
        path.write_bytes(b"")
    looks = []

    ((_, result),) = create_embedder().compute(
        [make_task(range(10))], on_first_images=looks.append
    )

    assert result.features.shape == (0, 2, 4)
    assert result.content_digests.shape == (0, 32)
    assert [bad.row for bad in result.bad] == list(range(10))
    assert looks == []


def test_pictures_above_the_limit_are_bad(create_embedder):
    """The limit of the request reaches the decoder."""
    result = compute_train(create_embedder(max_pixels=24 * 20 - 1))

    assert len(result.bad) == 30
    assert "--max-pixels" in result.bad[0].reason


def test_first_look_leaves_bad_pictures_out(create_embedder, picture_folder):
    """The engine is judged by pictures, not by zeros."""
    (picture_folder / "train" / "cat" / "00.jpg").write_bytes(b"")

    seen = []
    list(create_embedder(4).compute([make_task()], on_first_images=seen.append))

    assert [images.shape for images in seen] == [(3, 8, 8, 3)]


def test_one_view(create_embedder):
    """Without the mirror there is one view, equal to view 0 of two."""
    both = compute_train(create_embedder()).features

    plain = compute_train(create_embedder(), ("plain",)).features

    np.testing.assert_array_equal(plain, both[:, :1])


def test_half_precision_rounds_at_the_end(create_embedder):
    """float16 is how features are stored, not how they are computed."""
    exact = compute_train(create_embedder()).features

    stored = compute_train(create_embedder(dtype="float16")).features

    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, exact.astype(np.float16))


def test_progress_adds_up_to_all_views(create_embedder, picture_folder):
    """Every batch reports its views, and so do pictures that are bad."""
    (picture_folder / "train" / "cat" / "00.jpg").write_bytes(b"")
    reported = []
    embedder = create_embedder(batch_size=8)

    list(embedder.compute([make_task()], reported.append))

    assert reported == [16, 16, 16, 10, 2]
    assert embedder.num_computed == 58


def test_seconds_are_counted_by_stage(create_embedder):
    """Where the time goes is known: waiting for pictures, or computing."""
    embedder = create_embedder()

    compute_train(embedder)

    assert set(embedder.seconds) == {"wait_for_images", "forward"}
    assert min(embedder.seconds.values()) > 0


def test_nothing_to_do_is_done(create_embedder):
    """Without a task no picture is read."""
    embedder = create_embedder()

    assert list(embedder.compute([])) == []
    assert embedder.num_decoded == 0


def test_pictures_with_an_orientation_are_marked(
    create_embedder, picture_folder
):
    """They are embedded as they lie, and counted."""
    exif = Image.Exif()
    exif[0x0112] = TURNED
    path = picture_folder / "train" / "cat" / "00.jpg"
    Image.open(path).save(path, exif=exif)

    result = compute_train(create_embedder())

    assert np.flatnonzero(result.is_oriented).tolist() == [0]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float32", np.nan),
        ("float32", -np.inf),
        ("float16", np.nan),
        ("float16", 65_520),
    ],
)
def test_features_that_are_no_numbers_are_refused(
    create_embedder, backbone, dtype, value
):
    """What is finished is handed out; nothing of the block that has them."""
    engine = ConstantEngine(backbone, [65_504, value])
    embedder = create_embedder(engine=engine, dtype=dtype)
    tasks = [
        make_task(range(10), ("plain",)),
        make_task(range(10, 30), ("plain",), number=1),
    ]
    results = embedder.compute(tasks)

    _, first = next(results)

    assert (first.features == 65_504).all()
    with pytest.raises(
        EngineError,
        match=f"20 pictures in block 1 of train .* in {dtype}.*kept.*"
        "`--engine tensorflow`, or without `--dtype float16`",
    ):
        next(results)


@pytest.fixture(name="source")
def _source(picture_folder):
    return CountingSource(picture_folder)


def make_tasks():
    """Returns the tasks of three blocks of ten training rows."""
    return [
        make_task(range(start, start + 10), number=number)
        for number, start in enumerate((0, 10, 20))
    ]


def test_consecutive_blocks_are_read_in_one_call(create_embedder, source):
    """What lies in one file is read through once, not once a block."""
    test_task = Task(BlockKey("test", 0, 0, 12), np.arange(12), BOTH)

    results = list(
        create_embedder(source=source).compute([*make_tasks(), test_task])
    )

    assert source.calls == [("train", [*range(30)]), ("test", [*range(12)])]
    assert [len(result.rows) for _, result in results] == [10, 10, 10, 12]


def test_tasks_that_go_back_are_read_anew(create_embedder, source):
    """A call of a source is for ascending rows."""
    tasks = [
        make_task([0, 2, 9], BOTH),
        make_task([1, 3], ("flip",)),
        make_task([10, 11], BOTH, number=1),
    ]

    results = list(create_embedder(source=source).compute(tasks))

    assert source.calls == [
        ("train", [0, 2, 9]),
        ("train", [1, 3, 10, 11]),
    ]
    rows = [result.rows.tolist() for _, result in results]
    assert rows == [[0, 2, 9], [1, 3], [10, 11]]


def test_one_call_has_an_end(create_embedder, source, monkeypatch):
    """It takes as many blocks as are worth it."""
    monkeypatch.setattr(embed.building.embedder, "MOST_ROWS", 15)

    list(create_embedder(source=source).compute(make_tasks()))

    assert source.calls == [
        ("train", [*range(20)]),
        ("train", [*range(20, 30)]),
    ]
