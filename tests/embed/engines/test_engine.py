"""Tests for `embed.engines.engine`: what all engines have in common."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from embed.backbones import Backbone
from embed.engines import engine as engine_module
from tests.stub_engine import StubEngine


def draw_images(num_images):
    """Returns noise of the tiny backbone's size."""
    rng = np.random.default_rng(0)
    return rng.random((num_images, 8, 8, 3), np.float32)


def corners(images):
    """Returns as features the red of each image's four corners."""
    return images[:, ::7, ::7, 0].reshape(len(images), 4)


@pytest.mark.parametrize(
    ("image_size", "num_images"),
    [
        ((10, 10), 10),
        ((20, 10), 5),
        ((30, 11), 3),
        ((31, 31), 1),
        ((99, 99), 1),
    ],
)
def test_a_batch_has_the_pixels_that_suit_the_engine(image_size, num_images):
    """Larger images make smaller batches, of one image at least."""
    engine = StubEngine(
        create_backbone(image_size), corners, pixels_a_batch=1000
    )

    assert engine.batch_size == num_images
    assert engine.input_shape == (num_images, *image_size, 3)


@pytest.mark.parametrize(
    ("num_threads", "num_images"), [(1, 64), (2, 32), (3, 20), (99, 1)]
)
def test_all_streams_have_several_batches_of_a_block(
    monkeypatch, num_threads, num_images
):
    """Millions of pixels are not thousands of images; the cores share them."""
    monkeypatch.setattr(engine_module, "num_cpu_threads", lambda: num_threads)

    engine = StubEngine(create_backbone((2, 2)), corners, pixels_a_batch=10**7)

    assert engine.batch_size == num_images


def test_streams_that_do_not_wait_may_have_one_batch_of_a_block(monkeypatch):
    """As on a GPU, where the next block is begun before the last is whole."""
    monkeypatch.setattr(StubEngine, "runs_ahead", True)

    engine = StubEngine(create_backbone((2, 2)), corners, pixels_a_batch=10**7)

    assert engine.batch_size == 256


@pytest.mark.parametrize(("given", "taken"), [(7, 7), (1024, 256)])
def test_a_batch_size_that_is_given_is_taken(tiny_backbone, given, taken):
    """Whatever would suit the engine; more than a block would be padding."""
    engine = StubEngine(tiny_backbone, corners, batch_size=given)

    assert engine.batch_size == taken


@pytest.mark.parametrize("num_images", [0, 1, 3, 4, 5, 8, 11])
def test_batches_are_whole_and_what_was_added_is_cut_off(
    tiny_backbone, num_images
):
    """A graph of a static shape sees that shape and no other."""
    shapes = []

    def run(images):
        shapes.append(images.shape)
        return corners(images)

    images = draw_images(num_images)

    features = StubEngine(tiny_backbone, run, batch_size=4)(images)

    assert shapes == [(4, 8, 8, 3)] * -(-num_images // 4)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, corners(images))


def test_views_of_the_same_pixels_keep_their_order(tiny_backbone):
    """The mirror is made of the same pixels; answers share their memory."""
    answer = np.empty_like(corners(draw_images(4)))

    def run(images):
        answer[:] = corners(images)
        return answer

    engine = StubEngine(tiny_backbone, run, batch_size=4)
    images = draw_images(6)

    features = engine.embed_views(images, [True, False])

    assert features.dtype == np.float32
    np.testing.assert_array_equal(
        features, np.stack([corners(images[:, :, ::-1]), corners(images)], 1)
    )


def test_streams_run_at_the_same_time(tiny_backbone):
    """As many calls as there are streams; each would wait for the others."""
    all_run = threading.Barrier(3)

    def run(images):
        all_run.wait(timeout=30)
        return corners(images)

    engine = StubEngine(tiny_backbone, run, batch_size=2, num_streams=3)
    images = draw_images(2)

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(engine, images) for _ in range(3)]

    for call in calls:
        np.testing.assert_array_equal(call.result(), corners(images))


def test_no_more_calls_run_than_there_are_streams(tiny_backbone):
    """A stream is one caller's at a time, whatever the number of threads."""
    lock, num_running, most_running = threading.Lock(), 0, 0

    def run(images):
        nonlocal num_running, most_running
        with lock:
            num_running += 1
            most_running = max(most_running, num_running)
        time.sleep(0.001)  # Others would come in meanwhile.
        with lock:
            num_running -= 1
        return corners(images)

    engine = StubEngine(tiny_backbone, run, batch_size=2, num_streams=2)
    images = draw_images(9)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: engine(images), range(100)))

    assert most_running <= 2
    for features in results:
        np.testing.assert_array_equal(features, corners(images))


def test_a_call_that_fails_gives_its_stream_back(tiny_backbone, in_time):
    """Or the engine would wait for ever after as many as it has streams."""

    def run(images):
        if images.max() > 1:
            raise ValueError("Too bright.")
        return corners(images)

    engine = StubEngine(tiny_backbone, run, batch_size=4, num_streams=2)
    images = draw_images(6)
    for _ in range(3):
        with pytest.raises(ValueError, match="bright"):
            in_time(lambda: engine(images + 2))

    features = in_time(lambda: engine(images))

    np.testing.assert_array_equal(features, corners(images))


def create_backbone(image_size):
    """Returns a backbone of three features, the mean of each colour."""
    images = keras.Input((*image_size, 3))
    means = keras.layers.GlobalAveragePooling2D()(images)
    return Backbone("keras:Means", keras.Model(images, means), "w" * 64)
