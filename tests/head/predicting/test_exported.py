"""Tests for `head.predicting.exported`."""

import os
import shutil

import keras
import numpy as np
import pytest

from embed.errors import MissingArtifactError
from embed.errors import StaleCacheError
from embed.images import ImageDecoder
from embed.splits import Selection
from head.predicting.exported import find_model
from tests.conftest import CLASS_NAMES
from tests.conftest import TINY_SIZE


@pytest.fixture(name="images", scope="module")
def _images(tiny_export):
    """The test pictures as pixels."""
    decoder = ImageDecoder(TINY_SIZE)
    pixels = []
    for path in tiny_export.test_paths:
        with open(path, "rb") as file:
            pixels.append(decoder(file.read()))
    return np.stack(pixels)


@pytest.fixture(name="logits")
def _logits(tiny_export, images):
    """What the exported model answers."""
    model = keras.models.load_model(tiny_export.model / "model.keras")
    return model.predict_on_batch(images)


@pytest.fixture(name="copy")
def _copy(tiny_export, tmp_path):
    """A copy of the export that may be changed, away from its run."""
    return shutil.copytree(tiny_export.model, tmp_path / "models" / "copy")


def save_again(path):
    """Leaves the model in a file, and nothing that was attached to it."""
    keras.models.load_model(path).save(path)


def test_the_newest_complete_export_is_found(tiny_export, tmp_path):
    """One without its last file is not there, nor is one of other formats."""
    models = shutil.copytree(tiny_export.artifacts_dir, tmp_path / "artifacts")
    models = models / "models"
    for number, name in enumerate(("old", "new", "unreadable", "incomplete")):
        folder = shutil.copytree(tiny_export.model, models / name)
        times = (4_000_000_000 + number,) * 2
        os.utime(folder / "parity.json", times)
    (models / "incomplete" / "parity.json").unlink()
    (models / "unreadable" / "model.keras").unlink()
    shutil.rmtree(models / "unreadable" / "saved_model")

    model = find_model(tmp_path / "artifacts", None)

    assert model.path == models / "new"
    assert model.class_names == CLASS_NAMES


@pytest.mark.parametrize("name", ["", "model.keras", "saved_model"])
def test_every_form_answers_the_same(copy, images, logits, name):
    """A folder, a file and a SavedModel, far from all they were made from."""
    model = find_model(copy, copy / name)

    network = model.load()

    assert model.class_names == CLASS_NAMES
    assert network.image_size == TINY_SIZE
    np.testing.assert_allclose(network.embed(images), logits, atol=1e-5)


@pytest.mark.parametrize("name", ["model.keras", "saved_model"])
def test_a_model_brings_its_names_along(copy, tmp_path, images, logits, name):
    """It may be moved alone, even to where other names are."""
    (tmp_path / "labels.txt").write_text("lion\nwolf\n")
    alone = (copy / name).rename(tmp_path / name)

    model = find_model(copy, alone)

    assert model.class_names == CLASS_NAMES
    np.testing.assert_allclose(model.load().embed(images), logits, atol=1e-5)


def test_a_model_without_names_inside_has_them_beside(copy):
    """As one that Keras has written again."""
    save_again(copy / "model.keras")

    assert find_model(copy, copy).class_names == CLASS_NAMES


@pytest.mark.parametrize("name", ["model", "tta"])
def test_features_are_those_of_the_cache(tiny_export, images, name):
    """Of the plain view, in front of the logits, also where two are run."""
    model = find_model(tiny_export.model, getattr(tiny_export, name))

    answers = model.load(with_features=True).embed(images)

    features = tiny_export.cache.take(Selection("test")).features[:, 0]
    np.testing.assert_allclose(answers[:, :4], features, atol=1e-5)
    plain = model.load().embed(images)
    np.testing.assert_allclose(answers[:, 4:], plain, atol=1e-5)


def test_a_saved_model_has_no_features(copy):
    """What has them can be exported."""
    model = find_model(copy, copy / "saved_model")

    with pytest.raises(MissingArtifactError, match="--format keras"):
        model.load(with_features=True)


def test_the_cache_is_that_of_the_run(tiny_export):
    """A model has the name of its run, with and without its mirror."""
    for path in (tiny_export.model, tiny_export.tta):
        model = find_model(tiny_export.artifacts_dir, path)

        cache = model.find_cache(tiny_export.artifacts_dir, None)

        assert cache.path == tiny_export.cache.path


def test_the_run_beside_a_model_is_found_from_anywhere(tiny_export, tmp_path):
    """`--model` may be of another artifacts folder than `--artifacts`."""
    model = find_model(tmp_path, tiny_export.model)

    cache = model.find_cache(tmp_path, None)

    assert cache.fingerprint == tiny_export.cache.fingerprint


def test_without_its_run_the_cache_must_be_named(copy, tiny_export, tmp_path):
    """Nothing else says which it is; the classes must be the model's."""
    model = find_model(tmp_path, copy)

    with pytest.raises(MissingArtifactError, match="--cache PATH"):
        model.find_cache(tmp_path, None)
    named = model.find_cache(tmp_path, tiny_export.cache.path)

    assert named.fingerprint == tiny_export.cache.fingerprint


def test_the_cache_of_another_model_is_refused(
    tiny_export, copy, draw_cache, tmp_path
):
    """By its run, field by field; without it, by backbone and classes."""
    spec = tiny_export.cache.spec
    same = {"backbone": spec.backbone, "weights_digest": spec.weights_digest}
    other = draw_cache(tmp_path / "other.h5")
    of_others = draw_cache(
        tmp_path / "a.h5", class_names=("a", "b", "c"), **same
    )
    model = find_model(tmp_path, tiny_export.model)
    alone = [find_model(tmp_path, copy)]
    alone += [find_model(tmp_path, copy / "saved_model")]

    with pytest.raises(StaleCacheError, match="weights_digest"):
        model.find_cache(tmp_path, other.path)
    for model in alone:
        with pytest.raises(StaleCacheError, match="weights_digest"):
            model.find_cache(tmp_path, other.path)
        with pytest.raises(StaleCacheError, match="Received: a, b, c"):
            model.find_cache(tmp_path, of_others.path)


def test_no_model_is_an_error_with_the_command(tmp_path):
    """Whether one was named or not."""
    with pytest.raises(MissingArtifactError, match="export-full-model"):
        find_model(tmp_path, None)
    with pytest.raises(MissingArtifactError, match="export-full-model"):
        find_model(tmp_path, tmp_path)


def test_a_model_in_other_formats_alone_is_named(copy):
    """It is there, and what it lacks can be added."""
    (copy / "model.keras").unlink()
    shutil.rmtree(copy / "saved_model")

    with pytest.raises(MissingArtifactError, match=r"copy .*--format keras"):
        find_model(copy.parent.parent, None)


def test_a_model_without_names_is_refused(copy):
    """A number is no answer."""
    save_again(copy / "model.keras")
    (copy / "labels.txt").unlink()

    with pytest.raises(MissingArtifactError, match=r"labels\.txt"):
        find_model(copy, copy / "model.keras")


def test_names_of_another_number_are_refused(copy):
    """Every answer could be of the wrong class."""
    save_again(copy / "model.keras")
    (copy / "labels.txt").write_text("cat\ndog\n")

    with pytest.raises(MissingArtifactError, match="2 classes"):
        find_model(copy, copy).load()


def test_a_damaged_model_is_one_error(copy):
    """Whatever Keras makes of it."""
    (copy / "model.keras").write_bytes(b"no archive")

    with pytest.raises(MissingArtifactError, match="cannot be read"):
        find_model(copy, copy).load()
