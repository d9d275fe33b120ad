"""A tiny network of every kind, from pictures to a stitched model."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from embed.backbones import BackboneRequest
from embed.building.request import BuildRequest
from embed.extract import build_cache
from embed.origin import decode_pictures
from embed.origin import load_backbone_of
from embed.sources import SourceRequest
from embed.splits import Selection
from head.evaluating.evaluate import logits_of_features
from head.refit import train_run
from head.spec import HeadSpec
from head.stitch import stitch
from tests.embed.backbones.tiny_models import SIZE
from tests.embed.backbones.tiny_models import classifier

KAGGLE_NAME = "owner/model/tensorFlow2/small"
SPEC = HeadSpec(epochs=3)
TOLERANCE = 1e-4  # Of the largest logit, as the gate's.


def of_keras(folder, module_dir):
    """A network of Keras with random weights."""
    return BackboneRequest(
        handle="keras:MobileNet?alpha=0.25",
        weights="random",
        image_size=(32, 32),
    )


def of_keras_hub(folder, module_dir):
    """A preset in a folder."""
    keras_hub = pytest.importorskip("keras_hub")
    network = keras_hub.models.ViTBackbone(
        image_shape=(*SIZE, 3),
        patch_size=8,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=8,
    )
    network.save_to_preset(str(folder / "preset"))
    converter = keras_hub.layers.ViTImageConverter(scale=1 / 255)
    converter.save_to_preset(str(folder / "preset"))
    return BackboneRequest(handle="kerashub:preset")


def of_hub(folder, module_dir):
    """A module in a folder."""
    shutil.copytree(module_dir, folder / "module")
    return BackboneRequest(handle="hub:module")


def of_kaggle(folder, module_dir):
    """A module that kagglehub has kept."""
    directory = folder / "models" / KAGGLE_NAME / "1"
    shutil.copytree(module_dir, directory)
    directory.with_name("1.complete").touch()
    return BackboneRequest(handle=f"kaggle:{KAGGLE_NAME}/1")


def of_saved_model(folder, module_dir):
    """A SavedModel with a signature alone, of other pixels."""
    model = classifier()
    maps = keras.Model(model.inputs[0], model.get_layer("relu").output)
    maps.export(folder / "exported", verbose=False)
    return BackboneRequest(handle="savedmodel:exported?range=-1,1")


def of_model(folder, module_dir):
    """A saved classifier, cut in the middle."""
    model = classifier(keras.layers.Rescaling(1 / 255))
    model.save(folder / "model.h5")
    return BackboneRequest(handle="model:model.h5?range=caffe", cut="norm")


@pytest.mark.parametrize(
    "prepare",
    [of_keras, of_keras_hub, of_hub, of_kaggle, of_saved_model, of_model],
)
def test_a_stitched_model_answers_as_its_head(
    prepare, picture_folder, tiny_module_dir, tmp_path, monkeypatch
):
    """Also from another folder, after `.keras`, and as a SavedModel.

    The backbone is loaded again by what the cache says of it.
    """
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    request = BuildRequest(
        source=SourceRequest(dataset=f"folder:{picture_folder}"),
        backbone=prepare(tmp_path, tiny_module_dir),
        engine="tensorflow",
    )
    artifacts_dir = tmp_path / "artifacts"
    cache = build_cache(request, artifacts_dir=artifacts_dir).cache
    run = train_run(cache, SPEC, seed=0, artifacts_dir=artifacts_dir)
    monkeypatch.chdir("/")

    backbone, head = load_backbone_of(cache), run.load_head()
    model = stitch(backbone, head)
    model.save(tmp_path / "full.keras")
    model.export(tmp_path / "full", verbose=False)

    plain = cache.take(Selection("test")).features[:, :1]
    expected = logits_of_features(head, plain)
    ids = cache.image_ids("test")
    images = np.stack(list(decode_pictures(cache, "test", ids)))
    again = keras.models.load_model(tmp_path / "full.keras")
    served = tf.saved_model.load(str(tmp_path / "full"))
    allowed = TOLERANCE * max(1, np.abs(expected).max())
    for answer in (
        model.predict_on_batch,
        again.predict_on_batch,
        served.serve,
    ):
        np.testing.assert_allclose(answer(images), expected, atol=allowed)
    assert backbone.name == cache.spec.backbone
    assert str(tmp_path) not in backbone.name
