"""Tests for `embed.building.intake`."""

import hashlib
import threading

import numpy as np
import pytest
from PIL import Image

import embed.building.intake
from embed.building.blocks import BlockKey
from embed.building.clock import StageClock
from embed.building.intake import Intake
from embed.building.plan import Task
from embed.errors import SourceError
from embed.images import ImageDecoder
from embed.views import Frame
from tests.counting_source import CountingSource

TURNED = 6
PLAIN, MIDDLE = Frame((8, 8)), Frame((8, 8), place=(1, 1))
LARGE = Frame((12, 12))


class CountingDecoder(ImageDecoder):
    """Counts the pictures it is given, call by call."""

    def __init__(self, image_size, max_pixels):
        super().__init__(image_size, max_pixels)
        self.nums_given = []

    @property
    def num_given(self):
        """Pictures of all calls."""
        return sum(self.nums_given)

    def decode_all(self, encoded, frames, headers):
        """Returns frames of pictures."""
        self.nums_given.append(len(encoded))
        return super().decode_all(encoded, frames, headers)


class CountingClock(StageClock):
    """Counts how often each stage is measured."""

    def __init__(self):
        super().__init__()
        self.stages = []

    def measure(self, stage):
        """Counts what its body takes to a stage."""
        self.stages.append(stage)
        return super().measure(stage)


@pytest.fixture(name="source")
def _source(picture_folder):
    return CountingSource(picture_folder)


@pytest.fixture(name="create_intake")
def _create_intake(source):
    """Makes an intake of tasks; all threads of all of them end."""
    intakes = []

    def create(tasks, max_pixels=10**6, decoder=None, clock=None):
        intake = Intake(
            source,
            decoder or CountingDecoder((8, 8), max_pixels),
            tasks,
            clock or StageClock(),
        )
        intakes.append(intake.__enter__())
        return intake

    yield create
    for intake in intakes:
        intake.__exit__(None, None, None)


def make_task(rows=range(30), number=0, split="train", views=("plain", "flip")):
    """Returns the task of some rows."""
    rows = np.array(rows)
    key = BlockKey(split, number, int(rows[0]), int(rows[-1]) + 1)
    return Task(key, rows, views)


def make_tasks():
    """Returns the tasks of three blocks of ten training rows."""
    return [
        make_task(range(start, start + 10), number)
        for number, start in enumerate((0, 10, 20))
    ]


def take_all(intake, num_ahead=4):
    """Returns all images that are left."""
    return list(intake.take_all(num_ahead))


ALONE_AND_TOGETHER = pytest.mark.parametrize("num_ahead", [4, 16])


@ALONE_AND_TOGETHER
def test_images_come_in_the_order_of_the_tasks(create_intake, num_ahead):
    """Whichever thread has decoded which picture first."""
    tasks = [make_task(range(12), split="test"), *make_tasks()]

    images = take_all(create_intake(tasks), num_ahead)

    assert [image.row for image in images] == [*range(12), *range(30)]


def test_pixels_are_those_of_the_picture(create_intake, picture_folder):
    """As its own decoder has them, and the digest of the same bytes."""
    (image,) = create_intake([make_task([3])]).take(5)

    encoded = (picture_folder / "train" / "cat" / "03.png").read_bytes()
    pixels = ImageDecoder((8, 8))(encoded)
    np.testing.assert_array_equal(image.pixels[PLAIN], pixels)
    assert image.content_digest == hashlib.sha256(encoded).digest()
    assert (image.error, image.is_oriented) == ("", False)


@ALONE_AND_TOGETHER
def test_each_task_is_decoded_for_its_views(create_intake, num_ahead):
    """A view and its mirror share pixels; no other task's are made."""
    tasks = [
        make_task(range(10), views=("center", "center+flip")),
        make_task(range(10, 20), 1, views=("plain", "flip", "scale12")),
    ]

    images = take_all(create_intake(tasks), num_ahead)

    frames = [list(image.pixels) for image in images]
    assert frames == 10 * [[MIDDLE]] + 10 * [[PLAIN, LARGE]]
    assert images[10].pixels[LARGE].shape == (12, 12, 3)


def test_the_first_images_have_the_frames_of_all_tasks(create_intake):
    """What runs any view is chosen and checked before the first block."""
    tasks = [
        make_task(range(10), views=("flip",)),
        make_task(range(10, 20), 1, views=("scale12", "center")),
    ]
    decoder = CountingDecoder((8, 8), 10**6)
    intake = create_intake(tasks, decoder=decoder)

    first = intake.take(3)

    assert [set(i.pixels) for i in first] == 3 * [{PLAIN, LARGE, MIDDLE}]
    assert decoder.num_given == 3


def test_what_was_taken_does_not_come_again(create_intake, source):
    """Each picture is read once and decoded once, some of them first."""
    decoder = CountingDecoder((8, 8), 10**6)
    intake = create_intake(make_tasks(), decoder=decoder)

    first, second = intake.take(12), intake.take(3)
    assert (source.num_read, decoder.num_given) == (15, 15)
    others = take_all(intake)

    rows = [[i.row for i in images] for images in (first, second, others)]
    assert rows == [[*range(12)], [12, 13, 14], [*range(15, 30)]]
    assert source.num_read == decoder.num_given == intake.num_decoded == 30


def test_fewer_are_taken_where_no_more_are_left(create_intake):
    """And none after that."""
    intake = create_intake([make_task([0, 1, 7])])

    assert [image.row for image in intake.take(5)] == [0, 1, 7]
    assert intake.take(5) == []
    assert take_all(intake) == []


def test_few_pictures_are_read_ahead(create_intake, source):
    """Memory holds what is being worked on, whatever the dataset has."""
    images = create_intake(make_tasks()).take_all(num_ahead=4)

    for number in range(1, 20):
        next(images)

        assert source.num_read <= number + 4
    images.close()


def test_pictures_are_decoded_eight_at_a_time(create_intake):
    """Where that many may wait; the rest of a dataset is fewer."""
    decoder = CountingDecoder((8, 8), 10**6)

    take_all(create_intake([make_task()], decoder=decoder), 16)

    assert sorted(decoder.nums_given) == [6, 8, 8, 8]


def test_without_a_task_nothing_is_read(create_intake, source):
    """No call of the source, and no image."""
    assert take_all(create_intake([])) == []
    assert source.calls == []


def test_nothing_is_read_before_it_is_asked_for(create_intake, source):
    """An intake that is not used costs no access to the disk."""
    create_intake(make_tasks())

    assert source.calls == []


@ALONE_AND_TOGETHER
def test_bad_pictures_come_with_a_reason(
    create_intake, picture_folder, num_ahead
):
    """In their place, without pixels, and with the digest of their bytes."""
    cats = picture_folder / "train" / "cat"
    (cats / "02.jpg").write_text("I am a text file")
    (cats / "04.jpg").write_bytes(b"")
    intake = create_intake([make_task()])

    images = take_all(intake, num_ahead)

    bad = {image.row: image for image in images if image.pixels is None}
    assert [image.row for image in images] == [*range(30)]
    assert list(bad) == [2, 4]
    assert "text" in bad[2].error
    assert bad[4].error == "the file is empty"
    digest = hashlib.sha256(b"I am a text file").digest()
    assert bad[2].content_digest == digest
    assert intake.num_decoded == 30


@ALONE_AND_TOGETHER
def test_pictures_that_are_gone_have_no_content(
    create_intake, picture_folder, num_ahead
):
    """A file that cannot be read has no digest, and nobody decodes it."""
    decoder = CountingDecoder((8, 8), 10**6)
    intake = create_intake([make_task(range(5))], decoder=decoder)
    (picture_folder / "train" / "cat" / "02.jpg").unlink()

    images = take_all(intake, num_ahead)

    assert images[2].pixels is None
    assert images[2].content_digest == b""
    assert "cannot be read" in images[2].error
    assert decoder.num_given == intake.num_decoded == 4


def test_pictures_above_the_limit_are_bad(create_intake):
    """The limit of the request reaches the decoder."""
    images = take_all(create_intake([make_task()], max_pixels=24 * 20 - 1))

    assert {image.pixels is None for image in images} == {True}
    assert "--max-pixels" in images[0].error


def test_pictures_with_an_orientation_are_marked(create_intake, picture_folder):
    """They are taken as they lie."""
    exif = Image.Exif()
    exif[0x0112] = TURNED
    path = picture_folder / "train" / "cat" / "00.jpg"
    Image.open(path).save(path, exif=exif)

    images = take_all(create_intake([make_task()]))

    assert [image.row for image in images if image.is_oriented] == [0]


def test_reading_and_decoding_are_measured_by_picture(create_intake):
    """Each in its own stage, whatever threads there are."""
    clock = CountingClock()

    take_all(create_intake([make_task()], clock=clock))

    assert sorted(clock.stages) == ["decode"] * 30 + ["read"] * 30
    assert min(clock.seconds["read"], clock.seconds["decode"]) > 0


def test_consecutive_blocks_are_read_in_one_call(create_intake, source):
    """What lies in one file is read through once, not once a block."""
    test_task = make_task(range(12), split="test")

    take_all(create_intake([*make_tasks(), test_task]))

    assert source.calls == [("train", [*range(30)]), ("test", [*range(12)])]


def test_tasks_that_go_back_are_read_anew(create_intake, source):
    """A call of a source is for ascending rows."""
    tasks = [make_task([0, 2, 9]), make_task([1, 3]), make_task([10, 11], 1)]

    images = take_all(create_intake(tasks))

    assert source.calls == [("train", [0, 2, 9]), ("train", [1, 3, 10, 11])]
    assert [image.row for image in images] == [0, 2, 9, 1, 3, 10, 11]


def test_one_call_has_an_end(create_intake, source, monkeypatch):
    """It takes as many blocks as are worth it."""
    monkeypatch.setattr(embed.building.intake, "MOST_ROWS", 15)

    take_all(create_intake(make_tasks()))

    assert source.calls == [
        ("train", [*range(20)]),
        ("train", [*range(20, 30)]),
    ]


def test_a_source_that_fails_ends_the_intake(
    create_intake, source, monkeypatch, in_time
):
    """Its error comes out, with no thread that waits for more."""

    def fail(split, rows):
        yield from [*super(CountingSource, source).read(split, rows)][:7]
        raise SourceError("The share is gone.")

    monkeypatch.setattr(source, "read", fail)
    intake = create_intake([make_task()])

    with pytest.raises(SourceError, match="gone"):
        in_time(lambda: take_all(intake))


def test_a_fault_of_the_decoder_comes_out(create_intake, in_time):
    """What is no fault of a picture makes no bad picture."""

    class Broken(ImageDecoder):
        def decode_all(self, encoded, frames, headers):
            raise MemoryError("No room for pixels.")

    intake = create_intake([make_task()], decoder=Broken((8, 8)))

    with pytest.raises(MemoryError, match="No room"):
        in_time(lambda: intake.take(8))


def test_threads_end_with_it(source):
    """Also where most pictures were never asked for."""
    before = set(threading.enumerate())

    with Intake(
        source, ImageDecoder((8, 8)), make_tasks(), StageClock()
    ) as intake:
        next(intake.take_all(num_ahead=8))
        during = set(threading.enumerate())

    assert during - before
    assert set(threading.enumerate()) <= before
