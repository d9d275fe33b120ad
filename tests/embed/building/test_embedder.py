"""Tests for `embed.building.embedder`."""

import contextlib
import functools
import gc
import hashlib
import io
import threading

import numpy as np
import pytest
from PIL import Image

import embed.building.embedder
from embed.building.blocks import BlockKey
from embed.building.clock import StageClock
from embed.building.embedder import Embedder
from embed.building.intake import DecodedImage
from embed.building.plan import Task
from embed.engines import create_engine
from embed.errors import EngineError
from embed.errors import SourceError
from embed.images import ImageDecoder
from embed.sources.folder import FolderSource
from tests.counting_source import CountingSource
from tests.stub_engine import StubEngine

BOTH = ("plain", "flip")
TURNED = 6


@pytest.fixture(name="create_tensorflow", scope="module")
def _create_tensorflow(tiny_backbone):
    """Makes the engine of a batch size, once."""
    return functools.cache(
        lambda batch_size: create_engine(
            "tensorflow", tiny_backbone, batch_size=batch_size
        )
    )


@pytest.fixture(name="create_embedder")
def _create_embedder(picture_folder):
    """Makes embedders of the drawn pictures, as they are by then.

    Takes tasks and by name what is not as usual. Their threads end with the
    test.
    """
    with contextlib.ExitStack() as stack:

        def create(
            tasks=None,
            *,
            dtype="float32",
            max_pixels=10**6,
            source=None,
            clock=None,
        ):
            embedder = Embedder(
                source=source or FolderSource(picture_folder),
                decoder=ImageDecoder((8, 8), max_pixels),
                tasks=[make_task()] if tasks is None else tasks,
                feature_dim=4,
                dtype=dtype,
                clock=clock or StageClock(),
            )
            return stack.enter_context(embedder)

        yield create


@pytest.fixture(name="compute")
def _compute(create_embedder, create_tensorflow):
    """Computes tasks with TensorFlow; returns the result of each."""

    def compute(tasks=None, *, batch_size=32, **options):
        embedder = create_embedder(tasks, **options)
        engine = create_tensorflow(batch_size)
        return [result for _, result in embedder.compute(engine)]

    return compute


@pytest.fixture(name="compute_train")
def _compute_train(compute):
    """Returns what comes of all training pictures."""

    def compute_train(views=BOTH, **options):
        (result,) = compute([make_task(views=views)], **options)
        return result

    return compute_train


def make_task(rows=range(30), views=BOTH, number=0):
    """Returns the task of some training rows."""
    rows = np.array(rows)
    key = BlockKey("train", number, int(rows[0]), int(rows[-1]) + 1)
    return Task(key, rows, views)


def make_tasks():
    """Returns the tasks of three blocks of ten training rows."""
    return [
        make_task(range(start, start + 10), number=number)
        for number, start in enumerate((0, 10, 20))
    ]


def encode(pixels, file_format="JPEG", **options):
    """Returns an encoded picture."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, file_format, **options)
    return file.getvalue()


def means(images):
    """Returns as four features of each image its means: a stub's answer."""
    colours = images.mean((1, 2))
    return np.concatenate([colours, images[:, 0, 0, :1]], axis=1)


def test_features_are_the_backbones(compute_train, picture_folder):
    """A picture of one colour has the features computed by hand."""
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:, :10], pixels[:, 10:] = (255, 0, 51), (0, 102, 51)
    path = picture_folder / "train" / "cat" / "00.png"
    path.write_bytes(encode(pixels, "PNG"))
    (picture_folder / "train" / "cat" / "00.jpg").unlink()

    features = compute_train().features[0]

    # Red left, green right, blue, left minus right half in grey.
    plain = [1.0, 0.4, 0.2, (1.2 - 0.6) / 3]
    mirrored = [0.0, 0.0, 0.2, (0.6 - 1.2) / 3]
    np.testing.assert_allclose(features, [plain, mirrored], atol=1e-6)


def test_each_image_is_decoded_once(create_embedder, create_tensorflow):
    """Both views come from one decode, whatever the batches."""
    embedder = create_embedder()

    ((_, result),) = embedder.compute(create_tensorflow(7))

    assert embedder.num_decoded == 30
    assert embedder.num_computed == 60
    assert result.features.shape == (30, 2, 4)


def test_a_first_look_costs_no_decode(
    create_embedder, create_tensorflow, picture_folder, compute_train
):
    """The images that an engine is chosen by are embedded, not read anew."""
    source = CountingSource(picture_folder)
    embedder = create_embedder(source=source)

    (seen,) = embedder.look_ahead().values()
    assert seen.shape == (30, 8, 8, 3)
    assert (embedder.num_computed, source.num_read) == (0, 30)
    ((_, result),) = embedder.compute(create_tensorflow(32))

    assert source.num_read == embedder.num_decoded == 30
    np.testing.assert_array_equal(result.features, compute_train().features)


def test_a_first_look_is_at_some_images(
    create_embedder, create_tensorflow, picture_folder, monkeypatch
):
    """No more than it takes; the tasks still come whole and in order."""
    monkeypatch.setattr(embed.building.embedder, "NUM_FIRST", 12)
    source = CountingSource(picture_folder)
    embedder = create_embedder(make_tasks(), source=source)

    (seen,) = embedder.look_ahead().values()
    assert (len(seen), source.num_read) == (12, 12)
    results = list(embedder.compute(create_tensorflow(4)))

    rows = [result.rows.tolist() for _, result in results]
    assert rows == [[*range(10)], [*range(10, 20)], [*range(20, 30)]]


def test_a_first_look_leaves_bad_pictures_out(
    create_embedder, create_tensorflow, picture_folder, monkeypatch
):
    """An engine is judged by pictures, if it takes longer to find some."""
    monkeypatch.setattr(embed.building.embedder, "NUM_FIRST", 4)
    for path in (picture_folder / "train" / "cat").iterdir():
        path.write_bytes(b"")
    embedder = create_embedder()

    (seen,) = embedder.look_ahead().values()
    ((_, result),) = embedder.compute(create_tensorflow(4))

    assert seen.shape == (2, 8, 8, 3)  # Of the rows 8 to 11.
    assert seen.max(axis=(1, 2, 3)).min() > 0
    assert result.rows.tolist() == [*range(10, 30)]
    assert [bad.row for bad in result.bad] == [*range(10)]


def test_bad_pictures_alone_need_no_engine(create_embedder, picture_folder):
    """There is nothing to choose one by; the tasks still have their shapes."""
    for path in (picture_folder / "train" / "cat").iterdir():
        path.write_bytes(b"")
    embedder = create_embedder([make_task(range(10))])

    assert embedder.look_ahead() == {}
    ((_, result),) = embedder.compute(None)

    assert result.features.shape == (0, 2, 4)
    assert result.content_digests.shape == (0, 32)
    assert [bad.row for bad in result.bad] == list(range(10))
    assert (embedder.num_decoded, embedder.num_computed) == (10, 0)


@pytest.mark.parametrize("batch_size", [1, 7, 29, 30, 31])
def test_batch_size_does_not_change_rows(compute_train, batch_size):
    """Batches are padded, never mixed up; rows agree to 1e-6."""
    expected = compute_train(batch_size=32).features

    features = compute_train(batch_size=batch_size).features

    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_rows_do_not_depend_on_what_else_is_computed(compute):
    """A task has the same bits, computed alone or with all others."""
    together = compute(make_tasks(), batch_size=4)

    for task, expected in zip(make_tasks(), together, strict=True):
        (alone,) = compute([task], batch_size=4)

        np.testing.assert_array_equal(alone.features, expected.features)


def test_rows_and_views_are_those_of_the_task(
    create_embedder, create_tensorflow, compute_train
):
    """Some rows of a block, some views: no other picture is decoded."""
    whole = compute_train()
    tasks = [make_task([1, 7, 28], ("flip",)), make_task([0, 29], BOTH)]
    embedder = create_embedder(tasks)

    (first, flips), (_, both) = embedder.compute(create_tensorflow(4))

    assert first is tasks[0]
    assert (embedder.num_decoded, embedder.num_computed) == (5, 7)
    assert flips.rows.tolist() == [1, 7, 28]
    np.testing.assert_allclose(
        flips.features[:, 0], whole.features[[1, 7, 28], 1], atol=1e-6
    )
    np.testing.assert_allclose(
        both.features, whole.features[[0, 29]], atol=1e-6
    )


def test_tasks_are_told_before_they_are_run(create_embedder, create_tensorflow):
    """A journal counts a task before the first of its views is computed."""
    tasks = [make_task(range(15)), make_task(range(15, 30), number=1)]
    embedder = create_embedder(tasks)
    seen = []

    list(
        embedder.compute(
            create_tensorflow(4),
            on_task=lambda task: seen.append((task, embedder.num_computed)),
        )
    )

    assert seen == [(tasks[0], 0), (tasks[1], 30)]


def test_no_view_is_run_before_its_task_is_told(create_embedder, tiny_backbone):
    """However many streams wait for work: a kill loses what was told alone."""
    num_told, too_early = 0, []

    def run(images):
        if len(ran) >= 10 * num_told:
            too_early.append(len(ran))
        ran.append(1)
        return means(images)

    def tell(task):
        nonlocal num_told
        num_told += 1

    ran = []
    tasks = [make_task(task.rows, ("plain",)) for task in make_tasks()]
    engine = StubEngine(tiny_backbone, run, batch_size=1, num_streams=4)

    list(create_embedder(tasks).compute(engine, on_task=tell))

    assert (num_told, len(ran)) == (3, 30)
    assert too_early == []


def test_rows_keep_their_order_though_streams_do_not(
    create_embedder, tiny_backbone
):
    """The first batch of each block is done after the second."""
    tasks = [make_task(task.rows, ("plain",)) for task in make_tasks()]
    serial = StubEngine(tiny_backbone, means, batch_size=4)
    expected = [r for _, r in create_embedder(tasks).compute(serial)]
    firsts = {result.features[0].tobytes() for result in expected}
    is_other_done, done = threading.Event(), []

    def run(images):
        features = means(images)
        is_first = features[0].tobytes() in firsts
        if is_first:
            assert is_other_done.wait(timeout=60)
        done[-1].append(is_first)
        if not is_first:
            is_other_done.set()
        return features

    def begin(task):
        is_other_done.clear()
        done.append([])

    engine = StubEngine(tiny_backbone, run, batch_size=4, num_streams=2)

    results = list(create_embedder(tasks).compute(engine, on_task=begin))

    assert [sorted(block) for block in done] == [[False, False, True]] * 3
    assert not any(block[0] for block in done)
    assert [task for task, _ in results] == tasks
    for (task, result), want in zip(results, expected, strict=True):
        assert result.rows.tolist() == task.rows.tolist()
        np.testing.assert_array_equal(result.features, want.features)
        np.testing.assert_array_equal(
            result.content_digests, want.content_digests
        )


def test_a_gpu_need_not_wait_for_a_block_to_be_whole(
    create_embedder, tiny_backbone, in_time
):
    """The last batch of a block is done after the first of the next one."""
    tasks = [make_task(task.rows, ("plain",)) for task in make_tasks()]
    serial = StubEngine(tiny_backbone, means, batch_size=4)
    expected = [r for _, r in create_embedder(tasks).compute(serial)]
    last = expected[0].features[-1, 0]
    is_next_done, told = threading.Event(), []

    def run(images):
        features = means(images)
        if (features == last).all(1).any():
            assert is_next_done.wait(timeout=60)
        elif (features == expected[1].features[0, 0]).all(1).any():
            is_next_done.set()
        return features

    engine = StubEngine(tiny_backbone, run, batch_size=4, num_streams=2)
    engine.runs_ahead = True
    embedder = create_embedder(tasks)

    results = in_time(
        lambda: list(embedder.compute(engine, on_task=told.append))
    )

    assert told == tasks
    assert [task for task, _ in results] == tasks
    for (_, result), want in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.rows, want.rows)
        np.testing.assert_array_equal(result.features, want.features)


def test_all_streams_are_given_work(create_embedder, tiny_backbone):
    """Each waits for the others in its first batch."""
    all_run, met = threading.Barrier(3), threading.local()

    def run(images):
        if not hasattr(met, "is_so"):
            met.is_so = True
            all_run.wait(timeout=60)
        return means(images)

    engine = StubEngine(tiny_backbone, run, batch_size=2, num_streams=3)

    ((_, result),) = create_embedder().compute(engine)

    assert len(result.rows) == 30


def test_few_pictures_are_read_ahead_of_the_engine(
    create_embedder, tiny_backbone, picture_folder, monkeypatch
):
    """Some batches of each stream wait, decoded, and never the dataset."""
    monkeypatch.setattr(embed.building.embedder, "LEAST_AHEAD", 2)
    source = CountingSource(picture_folder)
    ahead, lock = [], threading.Lock()

    def run(images):
        with lock:
            ahead.append(source.num_read)
        return means(images)

    engine = StubEngine(tiny_backbone, run, batch_size=1)
    tasks = [make_task(views=("plain",))]

    list(create_embedder(tasks, source=source).compute(engine))

    # Two in the stream or waiting for it, and two batches decoded.
    assert all(n <= number + 5 for number, n in enumerate(ahead, start=1))


def test_large_frames_are_read_less_far_ahead(
    create_embedder, tiny_backbone, picture_folder, monkeypatch
):
    """What waits is bounded by the bytes of all frames, larger ones too."""
    of_an_image = 12 * (8 * 8 + 24 * 24)
    module = embed.building.embedder
    monkeypatch.setattr(module, "BYTES_AHEAD", 2 * of_an_image)
    source = CountingSource(picture_folder)
    ahead = []

    def run(images):
        if images.shape[1] == 8:
            ahead.append(source.num_read)
        return means(images)

    engine = StubEngine(tiny_backbone, run, batch_size=1)
    tasks = [make_task(views=("plain", "scale24"))]

    list(create_embedder(tasks, source=source).compute(engine))

    # Two in the stream or waiting for it, and two decoded.
    assert all(n <= number + 5 for number, n in enumerate(ahead, start=1))


def test_no_pixels_are_kept(create_embedder, create_tensorflow):
    """Those of the first look are let go as all others are."""
    embedder = create_embedder()
    embedder.look_ahead()
    list(embedder.compute(create_tensorflow(7)))

    gc.collect()
    images = [o for o in gc.get_objects() if isinstance(o, DecodedImage)]
    assert [image for image in images if image.pixels] == []
    assert embedder.num_computed == 60


def test_a_fault_in_a_stream_comes_out(create_embedder, tiny_backbone, in_time):
    """After what is finished, and without a thread that waits for ever."""
    calls, before = [], set(threading.enumerate())

    def run(images):
        calls.append(1)
        if len(calls) > 6:
            raise RuntimeError("The accelerator is gone.")
        return means(images)

    engine = StubEngine(tiny_backbone, run, batch_size=4, num_streams=2)
    tasks = [make_task(task.rows, ("plain",)) for task in make_tasks()]
    results = []

    def compute():
        with create_embedder(tasks) as embedder:
            results.extend(embedder.compute(engine))

    with pytest.raises(RuntimeError, match="accelerator"):
        in_time(compute)

    assert len(results) <= 2
    assert set(threading.enumerate()) <= before


def test_a_fault_of_the_source_comes_out(
    create_embedder, tiny_backbone, picture_folder, in_time
):
    """While streams run, and without a thread that waits for ever."""

    class Broken(FolderSource):
        def read(self, split, rows):
            yield from [*super().read(split, rows)][:25]
            raise SourceError("The share is gone.")

    engine = StubEngine(tiny_backbone, means, batch_size=1, num_streams=2)
    before = set(threading.enumerate())

    def compute():
        source = Broken(picture_folder)
        with create_embedder(source=source) as embedder:
            list(embedder.compute(engine))

    with pytest.raises(SourceError, match="gone"):
        in_time(compute)

    assert set(threading.enumerate()) <= before


def test_who_stops_waits_for_nobody(create_embedder, tiny_backbone, in_time):
    """An interrupt while a block is computed ends all threads."""
    engine = StubEngine(tiny_backbone, means, batch_size=1, num_streams=2)
    before = set(threading.enumerate())

    def stop(num_views):
        raise KeyboardInterrupt

    def compute():
        with create_embedder() as embedder:
            list(embedder.compute(engine, on_views=stop))

    with pytest.raises(KeyboardInterrupt):
        in_time(compute)

    assert set(threading.enumerate()) <= before


def test_content_digests_are_of_the_files(compute_train, picture_folder):
    """Each row knows the bytes that it was computed from."""
    result = compute_train()

    encoded = (picture_folder / "train" / "cat" / "00.jpg").read_bytes()
    digest = hashlib.sha256(encoded).digest()
    assert result.content_digests[0].tobytes() == digest
    assert len(set(map(bytes, result.content_digests))) == 30


def test_bad_pictures_are_set_aside_with_a_reason(
    compute_train, picture_folder
):
    """Bad files cost their own rows and no other."""
    expected = compute_train()
    cats = picture_folder / "train" / "cat"
    (cats / "02.jpg").write_text("I am a text file")
    (cats / "04.jpg").write_bytes(b"")

    result = compute_train()

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


def test_bad_pictures_take_no_place_in_a_batch(
    create_embedder, tiny_backbone, picture_folder
):
    """Of ten that are bad among thirty, twenty make five whole batches."""
    for path in (picture_folder / "train" / "dog").iterdir():
        path.write_bytes(b"")
    batches = []

    def run(images):
        batches.append(images.max(axis=(1, 2, 3)))
        return means(images)

    engine = StubEngine(tiny_backbone, run, batch_size=4)
    embedder = create_embedder([make_task(views=("plain",))])

    list(embedder.compute(engine))

    assert len(batches) == 5
    assert min(map(min, batches)) > 0  # What is added to fill one is zero.


def test_pictures_that_are_gone_are_not_decoded(
    create_embedder, create_tensorflow, picture_folder
):
    """A file that cannot be read has no content."""
    embedder = create_embedder()
    (picture_folder / "train" / "cat" / "02.jpg").unlink()

    ((_, result),) = embedder.compute(create_tensorflow(32))

    (bad,) = result.bad
    assert (bad.row, bad.content_digest) == (2, b"")
    assert "cannot be read" in bad.reason
    assert embedder.num_decoded == 29


def test_one_view(compute_train):
    """Without the mirror there is one view, equal to view 0 of two."""
    both = compute_train().features

    plain = compute_train(("plain",)).features

    np.testing.assert_array_equal(plain, both[:, :1])


def test_half_precision_rounds_at_the_end(compute_train):
    """float16 is how features are stored, not how they are computed."""
    exact = compute_train().features

    stored = compute_train(dtype="float16").features

    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, exact.astype(np.float16))


def test_progress_adds_up_to_all_views(
    create_embedder, create_tensorflow, picture_folder
):
    """Every batch reports its views, and so do pictures that are bad."""
    (picture_folder / "train" / "cat" / "00.jpg").write_bytes(b"")
    reported = []
    embedder = create_embedder()

    list(embedder.compute(create_tensorflow(8), reported.append))

    assert reported == [16, 16, 16, 12]
    assert embedder.num_computed == 58


def test_every_stage_is_measured(compute_train):
    """Where the time goes is known; what is written is counted elsewhere."""
    clock = StageClock()

    compute_train(clock=clock)

    assert {s for s, seconds in clock.seconds.items() if seconds} == {
        *("read", "decode", "forward")
    }


def test_nothing_to_do_is_done(create_embedder, picture_folder):
    """Without a task no picture is read."""
    source = CountingSource(picture_folder)
    embedder = create_embedder([], source=source)

    assert embedder.look_ahead() == {}
    assert list(embedder.compute(None)) == []
    assert source.calls == []


def test_pictures_with_an_orientation_are_marked(compute_train, picture_folder):
    """They are embedded as they lie, and counted."""
    exif = Image.Exif()
    exif[0x0112] = TURNED
    path = picture_folder / "train" / "cat" / "00.jpg"
    Image.open(path).save(path, exif=exif)

    result = compute_train()

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
    create_embedder, tiny_backbone, dtype, value
):
    """What is finished is handed out; nothing of the block that has them."""
    values = iter([65_504, value])
    engine = StubEngine(
        tiny_backbone,
        lambda images: np.full((len(images), 4), next(values), np.float32),
        batch_size=30,
    )
    tasks = [
        make_task(range(10), ("plain",)),
        make_task(range(10, 30), ("plain",), number=1),
    ]
    results = create_embedder(tasks, dtype=dtype).compute(engine)

    _, first = next(results)

    assert (first.features == 65_504).all()
    with pytest.raises(
        EngineError,
        match=f"20 pictures in block 1 of train .* in {dtype}.*kept.*"
        "`--engine tensorflow`, or without `--dtype float16`",
    ):
        next(results)
