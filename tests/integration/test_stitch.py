"""A stitched model on pictures answers what its head answers on the cache."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from embed.backbones import BackboneRequest
from embed.building.request import BuildRequest
from embed.errors import SourceError
from embed.extract import build_cache
from embed.sources import SourceRequest
from embed.splits import Selection
from head.evaluating.evaluate import logits_of_features
from head.exporting.export import export_full_model
from head.exporting.formats import DEFAULT_FORMATS
from head.refit import train_run
from head.spec import HeadSpec
from tests.conftest import TINY_SIZE
from tests.conftest import write_pictures

SERVE = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
encoded = [Path(path).read_bytes() for path in sys.argv[2:]]
answer = served.signatures["serve_bytes"](tf.constant(encoded))
names = [name.decode() for name in answer["class_names"].numpy()]
print(json.dumps([names, answer["logits"].numpy().tolist()]))
assert "embed" not in sys.modules and "head" not in sys.modules
"""


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    """Where pictures and artifacts of these tests lie."""
    return tmp_path_factory.mktemp("stitch")


@pytest.fixture(name="picture_folder", scope="module")
def _picture_folder(folder):
    """Where the pictures lie."""
    write_pictures(folder / "pictures")
    return folder / "pictures"


@pytest.fixture(name="tiny_cache", scope="module")
def _tiny_cache(folder, picture_folder, tiny_module_dir):
    """The tiny cache of them."""
    request = BuildRequest(
        source=SourceRequest(dataset=f"folder:{picture_folder}"),
        backbone=BackboneRequest(
            handle=f"hub:{tiny_module_dir}", image_size=TINY_SIZE
        ),
        engine="tensorflow",
    )
    return build_cache(request, artifacts_dir=folder / "artifacts").cache


@pytest.fixture(name="run", scope="module")
def _run(tiny_cache, folder):
    """A finished run on the tiny cache."""
    spec = HeadSpec(epochs=20, learning_rate=0.05, normalization="sqrt")
    return train_run(
        tiny_cache, spec, seed=0, artifacts_dir=folder / "artifacts"
    )


@pytest.fixture(name="export", scope="module")
def _export(run, tiny_cache, folder):
    """Its export in the formats that need no extra."""
    return export_full_model(
        run, tiny_cache, artifacts_dir=folder / "artifacts"
    )


def test_every_format_passes_the_gate(export):
    """Each is read back and compared on train and validation pictures."""
    assert set(export.parity) == {"stitched", *DEFAULT_FORMATS}
    for parity in export.parity.values():
        assert parity.max_abs_diff <= parity.tolerance
        assert (parity.top1_agreement, parity.num_images) == (1.0, 30)
    written = json.loads((export.directory / "parity.json").read_text())
    assert written["savedmodel"]["top1_agreement"] == 1.0


def test_the_saved_model_serves_bytes_in_a_fresh_process(
    export, run, tiny_cache, picture_folder
):
    """Without Headstart it answers the test split as the cached head does."""
    test = tiny_cache.take(Selection("test"))
    expected = logits_of_features(run.load_head(), test.features[:, :1])
    paths = [picture_folder / "test" / image_id for image_id in test.image_ids]

    process = subprocess.run(
        [sys.executable, "-c", SERVE, export.formats["savedmodel"], *paths],
        capture_output=True,
        text=True,
        check=True,
        cwd=export.directory,
    )

    names, logits = json.loads(process.stdout)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    best = np.argmax(expected, axis=-1)
    assert names == [tiny_cache.spec.class_names[label] for label in best]


def test_the_saved_model_serves_float_images(export, tiny_cache):
    """The default signature takes images in [0, 1] and sums to 1."""
    served = tf.saved_model.load(str(export.formats["savedmodel"]))
    images = tf.fill((5, *tiny_cache.spec.image_size, 3), 0.5)

    answer = served.signatures["serving_default"](images=images)

    assert answer["probabilities"].shape == (5, 3)
    np.testing.assert_allclose(
        tf.reduce_sum(answer["probabilities"], -1), 1, atol=1e-6
    )


def test_labels_travel_along(export, tiny_cache):
    """`labels.txt` holds the class names in the order of the logits."""
    names = (export.directory / "labels.txt").read_text("utf-8").splitlines()

    assert tuple(names) == tiny_cache.spec.class_names


def test_tta_averages_image_and_mirror(run, tiny_cache, tmp_path):
    """With `tta` the model's logits are the mean over both cached views."""
    export = export_full_model(
        run,
        tiny_cache,
        artifacts_dir=tmp_path / "artifacts",
        formats=["keras"],
        is_averaged=True,
    )

    assert export.directory.name.endswith("-tta")
    assert export.parity["keras"].max_abs_diff <= 1e-4


def test_a_changed_picture_is_refused_and_the_old_export_stays(
    export, run, tiny_cache, picture_folder, folder
):
    """The gate compares on the very pictures the cache was built from."""
    before = (export.directory / "parity.json").read_bytes()
    path = picture_folder / "train" / "dog" / "00.jpg"
    content = path.read_bytes()
    path.write_bytes((picture_folder / "train/cat/00.jpg").read_bytes())

    with pytest.raises(SourceError, match=r"dog/00\.jpg has changed"):
        export_full_model(run, tiny_cache, artifacts_dir=folder / "artifacts")

    assert (export.directory / "parity.json").read_bytes() == before
    path.write_bytes(content)
