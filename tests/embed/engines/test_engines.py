"""Tests for `embed.engines`."""

import importlib.util

import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.building.agreement import check_engine
from embed.devices import prepare_devices
from embed.engines import ENGINES
from embed.engines import choose_engine
from embed.engines import create_engine
from embed.errors import EngineError

INSTALLED = [
    name
    for name, package in ENGINES.items()
    if importlib.util.find_spec(package)
]
TOLERANCE = 1e-4  # Of the largest feature.
BATCH_SIZE = 4


@pytest.fixture(name="tiny", scope="module")
def _tiny(tiny_module_dir):
    """The hub module of four linear features."""
    return load_backbone(
        BackboneRequest(handle=f"hub:{tiny_module_dir}", image_size=(8, 8))
    )


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


def draw_images(backbone, num_images=BATCH_SIZE):
    """Returns noise of the backbone's size."""
    rng = np.random.default_rng(0)
    return rng.random((num_images, *backbone.image_size, 3), np.float32)


@pytest.mark.parametrize("backbone_name", ["tiny", "mobilenet"])
@pytest.mark.parametrize("engine_name", INSTALLED)
def test_engine_computes_what_the_backbone_computes(
    engine_name, backbone_name, request
):
    """Every engine agrees with Keras to 1e-4 of the features' scale."""
    backbone = request.getfixturevalue(backbone_name)
    images = draw_images(backbone)
    expected = np.asarray(backbone.model(images, training=False))

    engine = create_engine(engine_name, backbone, BATCH_SIZE, "float32")
    features = engine(images)

    assert features.dtype == np.float32
    assert features.shape == (BATCH_SIZE, backbone.feature_dim)
    assert expected.std(axis=0).max() > 1e-3
    difference = np.abs(features - expected).max()
    assert difference <= TOLERANCE * np.abs(expected).max()
    check_engine(engine, backbone, images, "float32")


@pytest.mark.parametrize("num_images", [1, 3, 4])
@pytest.mark.parametrize("engine_name", INSTALLED)
def test_smaller_batches_are_padded(engine_name, num_images, tiny):
    """The padding is cut off again and changes no row."""
    engine = create_engine(engine_name, tiny, BATCH_SIZE, "float32")
    images = draw_images(tiny)
    whole = engine(images)

    features = engine(images[:num_images])

    np.testing.assert_array_equal(features, whole[:num_images])


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_answers_are_not_overwritten_by_the_next_call(engine_name, tiny):
    """The features of one batch outlive the next."""
    engine = create_engine(engine_name, tiny, BATCH_SIZE, "float32")
    images = draw_images(tiny)
    first = engine(images)
    kept = first.copy()

    engine(1 - images)

    np.testing.assert_array_equal(first, kept)


@pytest.mark.skipif("openvino" not in INSTALLED, reason="no openvino here")
def test_bfloat16_is_near(mobilenet):
    """Half the bits: near the backbone by its own tolerance, not equal."""
    images = draw_images(mobilenet)

    engine = create_engine("openvino", mobilenet, BATCH_SIZE, "bfloat16")

    check_engine(engine, mobilenet, images, "bfloat16")


@pytest.mark.parametrize("engine_name", ["tensorflow", "litert"])
def test_bfloat16_needs_an_engine_that_can(engine_name):
    """Nobody gets float32 who asked for bfloat16, nor the other way round."""
    with pytest.raises(
        EngineError, match="`--engine openvino` or `--precision float32`"
    ):
        choose_engine(engine_name, "bfloat16")


@pytest.mark.parametrize("engine_name", INSTALLED)
def test_the_named_engine_is_taken(engine_name):
    """What is installed and named is used, not something faster."""
    assert choose_engine(engine_name, "float32") == engine_name


def test_auto_takes_the_fastest_that_is_here():
    """On a GPU that is TensorFlow, on a CPU the first of the list."""
    has_gpu = prepare_devices().num_physical_gpus > 0
    expected = "tensorflow" if has_gpu else INSTALLED[0]

    assert choose_engine("auto", "float32") == expected


def test_missing_engine(monkeypatch):
    """An engine that is not installed is named with the command to run."""
    monkeypatch.setitem(ENGINES, "litert", "no_such_package")

    with pytest.raises(EngineError, match=r"pip install 'headstart\[cpu\]'"):
        choose_engine("litert", "float32")


def test_auto_passes_over_what_is_missing(monkeypatch):
    """Without the extras there is always TensorFlow."""
    for name in ("litert", "openvino"):
        monkeypatch.setitem(ENGINES, name, "no_such_package")

    assert choose_engine("auto", "float32") == "tensorflow"
    with pytest.raises(EngineError, match="pip install"):
        choose_engine("auto", "bfloat16")
