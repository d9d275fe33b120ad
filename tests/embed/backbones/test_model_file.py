"""Saved Keras models as backbones."""

import shutil

import keras
import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.backbones.model_file import find_range
from embed.errors import BackboneError
from tests.embed.backbones.tiny_models import SIZE
from tests.embed.backbones.tiny_models import classifier
from tests.embed.backbones.tiny_models import draw_images
from tests.embed.backbones.tiny_models import layer_output

Layers = keras.layers


def load(path, query="", **fields):
    """Loads `model:PATH`."""
    handle = f"model:{path}{query}"
    return load_backbone(BackboneRequest(handle=handle, **fields))


def adapted(mean, variance):
    """Returns a normalisation by what it has seen."""
    return Layers.Normalization(mean=[mean] * 3, variance=[variance] * 3)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_classifier_is_a_backbone(tmp_path, suffix):
    """Its features are what it hands to its classifier, on its own pixels."""
    model, images = classifier(Layers.Rescaling(1 / 255)), draw_images()
    model.save(tmp_path / f"net{suffix}")

    backbone = load(tmp_path / f"net{suffix}")

    assert backbone.name == "model:local?cut=pool&range=0,255"
    assert (backbone.image_size, backbone.feature_dim) == (SIZE, 6)
    expected = layer_output(model, "pool", 255 * images)
    np.testing.assert_allclose(backbone.embed(images), expected, rtol=1e-4)
    assert backbone.model.trainable_variables == []


def test_cut_and_range_are_the_users(tmp_path):
    """Both are in the name, since they change vectors."""
    model, images = classifier(), draw_images()
    model.save(tmp_path / "net.keras")

    backbone = load(tmp_path / "net.keras", "?range=-1,1", cut="relu")

    assert backbone.name == "model:local?cut=relu&range=-1,1"
    expected = layer_output(model, "relu", 2 * images - 1).mean((1, 2))
    np.testing.assert_allclose(backbone.embed(images), expected, rtol=1e-4)
    assert "mean of its maps (7, 7, 6)" in " ".join(backbone.remarks)


def test_the_place_of_a_file_changes_nothing(tmp_path):
    """Another file of the same bytes is the same backbone."""
    classifier().save(tmp_path / "net.keras")
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "net.keras", tmp_path / "other" / "name.keras")

    one = load(tmp_path / "net.keras")
    other = load(tmp_path / "other" / "name.keras")

    assert (one.name, one.weights_digest) == (other.name, other.weights_digest)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], None),
        ([Layers.Rescaling(1 / 255)], "0,255"),
        ([Layers.Rescaling(1 / 127.5, offset=-1)], "0,255"),
        ([Layers.Rescaling(1.0, offset=-127.0)], "0,255"),
        ([Layers.Rescaling(2.0, offset=-1)], "0,1"),
        ([Layers.RandomFlip(), Layers.Rescaling(1 / 255)], "0,255"),
        ([Layers.Resizing(*SIZE), Layers.Rescaling(1 / 255)], "0,255"),
        (
            [
                keras.Sequential([Layers.RandomFlip(), Layers.RandomZoom(0.1)]),
                Layers.Rescaling(1 / 255),
            ],
            "0,255",
        ),
        (
            [
                keras.Sequential([Layers.RandomFlip(), Layers.Conv2D(3, 1)]),
                Layers.Rescaling(1 / 255),
            ],
            None,
        ),
        ([Layers.Conv2D(3, 1), Layers.Rescaling(1 / 255)], None),
        ([adapted(120.0, 3600.0)], "0,255"),
        ([adapted(0.45, 0.05)], "0,1"),
        ([adapted(-0.1, 0.25)], None),
    ],
)
def test_first_layers_tell_the_range(layers, expected):
    """A scaling in front says what pixels it is for; where none is, nothing."""
    assert find_range(classifier(*layers)) == expected


def test_a_scaling_inside_a_model_tells_the_range():
    """Networks with a scaling of their own are layers of classifiers."""
    inner = classifier(Layers.Rescaling(1 / 255))
    outer = keras.Sequential([keras.Input((*SIZE, 3)), inner])

    assert find_range(outer) == "0,255"


def test_another_image_size_is_refused(tmp_path):
    """A model of fixed size says which before anything is embedded."""
    classifier().save(tmp_path / "net.keras")

    with pytest.raises(BackboneError, match=r"\(16, 16\).*--image-size"):
        load(tmp_path / "net.keras", image_size=(20, 20))


def test_what_takes_no_images_is_refused(tmp_path):
    """One channel, or no picture at all, is told from three channels."""
    images = keras.Input((*SIZE, 1))
    keras.Model(images, Layers.Flatten()(images)).save(tmp_path / "grey.keras")

    with pytest.raises(BackboneError, match=r"does not take images.*16, 1\)"):
        load(tmp_path / "grey.keras")


@pytest.mark.parametrize("name", ["none.keras", "text.keras", "text.h5"])
def test_what_is_no_model_is_refused(tmp_path, name):
    """No file, and a file of something else, are one line each."""
    if name.startswith("text"):
        (tmp_path / name).write_text("I am a text file")

    with pytest.raises(BackboneError, match=f"{name}.*(model:FILE|DIR)"):
        load(tmp_path / name)


def test_weights_of_its_own_are_not_replaced(tmp_path):
    """`--weights` is for `keras:` alone."""
    with pytest.raises(BackboneError, match="Leave out `--weights`"):
        load(tmp_path / "net.keras", weights="random")
