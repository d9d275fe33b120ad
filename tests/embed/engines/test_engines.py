"""Tests for `embed.engines`."""

import importlib.util
import math
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from embed.backbones import Backbone
from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.building.agreement import check_engine
from embed.devices import num_cpu_threads
from embed.devices import prepare_devices
from embed.engines import ENGINES
from embed.engines import create_engine
from embed.engines import list_candidates
from embed.errors import EngineError

INSTALLED = [
    name
    for name, package in ENGINES.items()
    if importlib.util.find_spec(package)
]
IN_BFLOAT16 = [name for name in INSTALLED if name != "litert"]
TOLERANCE = 1e-4  # Of the largest feature.
BATCH_SIZE = 4
BATCHES = [slice(0, 4), slice(4, 8), slice(8, 11)]  # The last is not whole.
NUM_IMAGES = 11


@pytest.fixture(name="mobilenet", scope="module")
def _mobilenet():
    """A real network: depthwise convolutions, BatchNorm and all."""
    return load_backbone(
        BackboneRequest(
            handle="keras:MobileNetV2?alpha=0.35",
            weights="random",
            image_size=(96, 96),
        )
    )


def draw_images(backbone, num_images=NUM_IMAGES):
    """Returns noise of the backbone's size."""
    rng = np.random.default_rng(0)
    return rng.random((num_images, *backbone.image_size, 3), np.float32)


@pytest.fixture(name="create", scope="module")
def _create(request):
    """Makes an engine of batches of four, of the backbone of a fixture.

    Each is made once; equal ones take seconds.
    """
    made = {}

    def create(engine_name, backbone_name="mobilenet"):
        if (engine_name, backbone_name) not in made:
            made[engine_name, backbone_name] = create_engine(
                engine_name,
                request.getfixturevalue(backbone_name),
                batch_size=BATCH_SIZE,
            )
        return made[engine_name, backbone_name]

    return create


@pytest.mark.parametrize("backbone_name", ["tiny_backbone", "mobilenet"])
@pytest.mark.parametrize("engine_name", INSTALLED)
def test_engine_computes_what_the_backbone_computes(
    create, engine_name, backbone_name, request
):
    """Every engine agrees with Keras to 1e-4 of the features' scale."""
    backbone = request.getfixturevalue(backbone_name)
    images = draw_images(backbone)
    expected = np.asarray(backbone.model(images, training=False))

    engine = create(engine_name, backbone_name)
    features = engine(images)

    assert engine.name == engine_name
    assert features.dtype == np.float32
    assert features.shape == (NUM_IMAGES, backbone.feature_dim)
    assert expected.std(axis=0).max() > 1e-3
    difference = np.abs(features - expected).max()
    assert difference <= TOLERANCE * np.abs(expected).max()
    check_engine(engine, backbone, images, "float32")


@pytest.mark.parametrize("num_images", [0, 1, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("engine_name", INSTALLED)
def test_rows_do_not_depend_on_how_many_there_are(
    create, engine_name, num_images, mobilenet
):
    """Whatever a call has beside an image, and is added to fill a batch."""
    engine = create(engine_name)
    images = draw_images(mobilenet)
    whole = engine(images)

    features = engine(images[:num_images])

    np.testing.assert_array_equal(features, whole[:num_images])


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_a_batch_has_its_rows_alone(create, engine_name, mobilenet):
    """One call of three batches is three calls of one."""
    engine = create(engine_name)
    images = draw_images(mobilenet)
    whole = engine(images)

    of_batches = [engine(images[batch]) for batch in BATCHES]

    np.testing.assert_array_equal(np.concatenate(of_batches), whole)


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_threads_share_an_engine(create, engine_name, mobilenet):
    """More of them than streams: each call has the bits that it has alone."""
    engine = create(engine_name)
    images = draw_images(mobilenet)
    expected = engine(images)
    calls = [BATCHES[number % 3] for number in range(60)]

    with ThreadPoolExecutor(engine.num_streams + 3) as pool:
        answers = list(pool.map(lambda batch: engine(images[batch]), calls))

    for batch, features in zip(calls, answers, strict=True):
        np.testing.assert_array_equal(features, expected[batch])


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_images_need_not_lie_in_a_row(create, engine_name, mobilenet):
    """A mirror image that was not copied has the same features."""
    engine = create(engine_name)
    images = draw_images(mobilenet)
    mirrored = images[:, :, ::-1]

    features = engine(mirrored)

    copied = engine(np.ascontiguousarray(mirrored))
    np.testing.assert_array_equal(features, copied)


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_answers_are_not_overwritten_by_the_next_call(
    create, engine_name, tiny_backbone
):
    """The features of one batch outlive the next."""
    engine = create(engine_name, "tiny_backbone")
    images = draw_images(tiny_backbone)
    first = engine(images)
    kept = first.copy()

    for _ in range(engine.num_streams):
        engine(1 - images)

    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_the_default_batch_has_the_pixels_that_suit(engine_name, mobilenet):
    """As many as may be, but that all batches of a block are as large."""
    engine = create_engine(engine_name, mobilenet)

    most = min(
        engine.pixels_a_batch // (96 * 96), 256 // (4 * num_cpu_threads())
    )
    num_batches = math.ceil(256 / most)
    assert engine.batch_size == math.ceil(256 / num_batches) <= most


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_a_backbone_needs_no_weights(engine_name):
    """A graph of constants, or of means alone, runs on every engine."""
    entry = keras.Input((8, 8, 3))
    means = keras.layers.GlobalAveragePooling2D()(entry)
    backbone = Backbone("keras:Means", keras.Model(entry, means), "w" * 64)
    images = draw_images(backbone)

    features = create_engine(engine_name, backbone)(images)

    np.testing.assert_allclose(features, images.mean((1, 2)), atol=1e-6)


@pytest.mark.parametrize("engine_name", IN_BFLOAT16)
def test_bfloat16_is_near(engine_name, mobilenet):
    """Half the bits: near the backbone by its own tolerance, not equal."""
    images = draw_images(mobilenet)
    expected = np.asarray(mobilenet.model(images, training=False))

    engine = create_engine(engine_name, mobilenet, "bfloat16", BATCH_SIZE)

    check_engine(engine, mobilenet, images, "bfloat16")
    difference = np.abs(engine(images) - expected).max()
    assert difference > TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_a_view_is_not_overwritten_by_its_mirror(mobilenet, engine_name):
    """Engines answer in memory of their own, which the next call reuses."""
    engine = create_engine(engine_name, mobilenet, "float32", BATCH_SIZE)
    images = draw_images(mobilenet)

    features = engine.embed_views(images, [False, True])

    for view, pixels in enumerate([images, images[:, :, ::-1]]):
        np.testing.assert_allclose(
            features[:, view], engine(pixels), rtol=1e-5, atol=1e-6
        )
    assert np.abs(features[:, 0] - features[:, 1]).max() > 1e-3


def test_the_mirror_that_a_gpu_makes_is_the_same(mobilenet, monkeypatch):
    """Pixels are copied there once; the processor stands for it here."""
    engine = create_engine("tensorflow", mobilenet, "float32", BATCH_SIZE)
    images = draw_images(mobilenet)
    expected = engine.embed_views(images, [False, True])
    monkeypatch.setattr(engine, "mirrors_there", True)

    features = engine.embed_views(images, [False, True])

    assert not engine.runs_ahead  # There is no GPU.
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(features[:, 0], engine(images), atol=1e-6)


def test_bfloat16_needs_an_engine_that_can():
    """Nobody gets float32 who asked for bfloat16, nor the other way round."""
    with pytest.raises(
        EngineError, match="`--engine openvino` or `--precision float32`"
    ):
        list_candidates("litert", "bfloat16")


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_the_named_engine_is_taken(engine_name):
    """What is installed and named is used, not something faster."""
    assert list_candidates(engine_name, "float32") == (engine_name,)


def test_auto_tries_all_that_are_here():
    """On a CPU, in the order of the list; on a GPU it is TensorFlow."""
    has_gpu = prepare_devices().num_physical_gpus > 0
    expected = ["tensorflow"] if has_gpu else INSTALLED

    assert list(list_candidates("auto", "float32")) == expected


def test_auto_tries_what_can_do_the_precision():
    """In bfloat16 that is not every engine."""
    has_gpu = prepare_devices().num_physical_gpus > 0
    expected = ["tensorflow"] if has_gpu else IN_BFLOAT16

    assert list(list_candidates("auto", "bfloat16")) == expected


def test_missing_engine(monkeypatch):
    """An engine that is not installed is named with the command to run."""
    monkeypatch.setitem(ENGINES, "litert", "no_such_package")

    with pytest.raises(EngineError, match=r"pip install 'headstart\[cpu\]'"):
        list_candidates("litert", "float32")


def test_auto_passes_over_what_is_missing(monkeypatch):
    """Without the extras there is always TensorFlow."""
    for name in ("litert", "openvino"):
        monkeypatch.setitem(ENGINES, name, "no_such_package")

    for precision in ("float32", "bfloat16"):
        assert list_candidates("auto", precision) == ("tensorflow",)
