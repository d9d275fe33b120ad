"""From a TF-Hub module of real size to a model that needs nothing of ours.

The stand-in for the reference's module is the same network from
`keras.applications`: 1792 features, 4,363,712 parameters, images in [0, 1].
"""

import dataclasses
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.building.request import BuildRequest
from embed.engines import ENGINES
from embed.engines import create_engine
from embed.extract import BuildResult
from embed.extract import build_cache
from embed.images import ImageDecoder
from embed.sources import SourceRequest
from head.exporting.export import Export
from head.exporting.export import export_full_model
from head.refit import train_run
from head.spec import HeadSpec
from head.stitch import stitch
from head.stitch import summarize

pytestmark = pytest.mark.slow  # 40 s on 2 cores that are free.

ROOT = Path(__file__).parents[2]
SIZE = (224, 224)
NUM_CLASSES = 37  # As in Oxford-IIIT Pet.
NUM_PICTURES = {"train": 2, "test": 1}  # Of each class.
SPEC = HeadSpec(epochs=3)
TOLERANCE = 1e-5  # Of the largest logit, between two processes.

# What a fresh process does with nothing but the exported folder. The
# SavedModel needs TensorFlow alone; the import registers our layer with Keras.
PROGRAM = """
import sys
import numpy as np
import tensorflow as tf

folder = sys.argv[1]
images = np.load(f"{folder}/images.npy")
serve = tf.saved_model.load(f"{folder}/saved_model").signatures
answer = serve["serving_default"](images=tf.constant(images))
np.save(f"{folder}/savedmodel.npy", answer["logits"].numpy())
assert "embed" not in sys.modules

import keras
import embed.backbones.hub

model = keras.models.load_model(f"{folder}/model.keras")
np.save(f"{folder}/keras.npy", model.predict_on_batch(images))
"""


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """What became of the stand-in.

    Args:
        built: The cache and what was done for it.
        summary: Of the stitched model.
        export: The exported folder, all that was left for `fresh`.
        logits: Of `images.npy`, before the rest was deleted.
        fresh: By format, of the same images in a fresh process afterwards.
    """

    built: BuildResult
    summary: str
    export: Export
    logits: np.ndarray
    fresh: dict[str, np.ndarray]


@pytest.fixture(name="standin_dir", scope="module")
def _standin_dir(tmp_path_factory):
    """A module as large as the reference's, with random weights."""
    directory = tmp_path_factory.mktemp("standin") / "module"
    save_standin(directory)
    return directory


@pytest.fixture(name="pipeline", scope="module")
def _pipeline(standin_dir, tmp_path_factory):
    """Embeds, trains and exports; deletes all else; loads the export."""
    folder = tmp_path_factory.mktemp("pipeline")
    write_pictures(folder / "pictures")
    module_dir = shutil.copytree(standin_dir, folder / "module")
    artifacts_dir = folder / "artifacts"
    built = build_cache(
        BuildRequest(
            source=SourceRequest(dataset=f"folder:{folder / 'pictures'}"),
            backbone=BackboneRequest(
                handle=f"hub:{module_dir}", image_size=SIZE
            ),
            views=("plain",),  # For speed; the mirror has tests of its own.
        ),
        artifacts_dir=artifacts_dir,
    )
    run = train_run(built.cache, SPEC, seed=0, artifacts_dir=artifacts_dir)
    backbone = load_backbone(built.cache.provenance.backbone)
    model = stitch(backbone, run.load_head())
    export = export_full_model(run, built.cache, artifacts_dir=artifacts_dir)
    decode = ImageDecoder(SIZE)
    paths = sorted(folder.glob("pictures/test/*/*"))[:4]
    images = np.stack([decode(path.read_bytes()) for path in paths])

    alone = tmp_path_factory.mktemp("alone") / "model"
    export.directory.rename(alone)
    shutil.rmtree(folder)
    np.save(alone / "images.npy", images)
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(alone)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=alone,
        check=True,
    )
    return Pipeline(
        built=built,
        summary=summarize(model),
        export=dataclasses.replace(export, directory=alone),
        logits=model.predict_on_batch(images),
        fresh={name: np.load(alone / f"{name}.npy") for name in export.formats},
    )


def save_standin(directory):
    """Saves a Keras network as TF-Hub publishes one.

    Its weights are random, its BatchNorm statistics set from one batch.
    """
    model = load_backbone(
        BackboneRequest(
            handle="keras:MobileNetV2?alpha=1.4",
            weights="random",
            image_size=SIZE,
        )
    ).model
    model.trainable = True

    class StandIn(tf.__internal__.tracking.AutoTrackable):
        def __init__(self):  # Not the model: it would be saved a second time.
            self.variables = [v.value for v in model.variables]
            self.trainable_variables = [
                v.value for v in model.trainable_variables
            ]

        @tf.function
        def __call__(self, images, training=False):
            return model(images, training=training)

    module = StandIn()
    for training in (False, True):
        module.__call__.get_concrete_function(
            tf.TensorSpec((None, *SIZE, 3)), training=training
        )
    tf.saved_model.save(module, str(directory))


def write_pictures(folder):
    """Draws noise around one colour a class, `SPLIT/CLASS/NUMBER.png`."""
    rng = np.random.default_rng(0)
    for number in range(NUM_CLASSES):
        colour = rng.uniform(60, 200, 3)
        for split, count in NUM_PICTURES.items():
            class_dir = folder / split / f"class_{number:02}"
            class_dir.mkdir(parents=True)
            for index in range(count):
                noise = rng.normal(0, 25, (32, 32, 3))
                pixels = np.clip(colour + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(class_dir / f"{index}.png")


def test_the_module_gives_1792_features(pipeline):
    """As many features as the reference has, for every picture."""
    cache = pipeline.built.cache
    num_images = {split: 37 * n for split, n in NUM_PICTURES.items()}

    assert cache.spec.backbone == "hub:local"
    assert cache.feature_dim == 1792
    assert cache.num_images == num_images
    assert pipeline.built.num_computed == sum(num_images.values())


def test_the_summary_counts_each_parameter_once(pipeline):
    """The numbers of the reference's notebook, to the last digit."""
    assert "Non-trainable params: 4,363,712" in pipeline.summary
    assert " Trainable params: 66,341" in pipeline.summary
    assert "Total params: 4,430,053" in pipeline.summary


@pytest.mark.parametrize("name", ["savedmodel", "keras"])
def test_an_export_answers_the_same_alone(pipeline, name):
    """Module, pictures and cache are gone, and the process is another."""
    scale = np.abs(pipeline.logits).max()

    assert pipeline.fresh[name].shape == (4, NUM_CLASSES)
    np.testing.assert_allclose(
        pipeline.fresh[name], pipeline.logits, rtol=0, atol=TOLERANCE * scale
    )


def test_the_gate_let_every_format_through(pipeline):
    """Each format answers what the head answers on cached features."""
    parity = json.loads((pipeline.export.directory / "parity.json").read_text())

    assert set(parity) == {"stitched", "savedmodel", "keras"}
    assert {p["top1_agreement"] for p in parity.values()} == {1.0}
    assert {p["num_images"] for p in parity.values()} == {74}


def test_the_engines_agree(standin_dir):
    """Each within 1e-4 of the features' scale, and twice with equal bits."""
    request = BackboneRequest(handle=f"hub:{standin_dir}", image_size=SIZE)
    backbone, same = load_backbone(request), load_backbone(request)
    images = np.random.default_rng(0).random((4, *SIZE, 3), np.float32)
    expected = backbone.model.predict_on_batch(images)
    scale = np.abs(expected).max()

    features = {
        name: create_engine(name, backbone)(images)
        for name, package in ENGINES.items()
        if importlib.util.find_spec(package)
    }
    again = create_engine("tensorflow", same)(images)

    for name, given in features.items():
        assert np.abs(given - expected).max() <= 1e-4 * scale, name
        assert given.std(axis=0).mean() > 1e-3 * scale, name
    np.testing.assert_array_equal(again, features["tensorflow"])
