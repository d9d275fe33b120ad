"""The layer around a SavedModel, and the folders it is read from."""

import shutil
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from embed.backbones.hub import load_hub_backbone
from embed.backbones.module import digest_directory
from embed.engines import ENGINES
from embed.engines import create_engine
from embed.errors import BackboneError

SIZE = (8, 8)  # Of the tiny module in conftest.py.
NUM_PARAMETERS = 8 * 8 * 3 * 4  # Its one kernel.


@pytest.fixture(name="images")
def _images():
    """Five images of noise, float32 in [0, 1]."""
    return np.random.default_rng(0).random((5, *SIZE, 3), np.float32)


@pytest.fixture(name="module_dir")
def _module_dir(tiny_module_dir, tmp_path):
    """A copy of the tiny module that a test may damage or delete."""
    return shutil.copytree(tiny_module_dir, tmp_path / "module")


def save_callable(directory, function):
    """Saves a SavedModel whose `__call__` is the function given."""

    class Module(tf.__internal__.tracking.AutoTrackable):
        def __init__(self):
            self.scale = tf.Variable(2.0)
            self.variables = [self.scale]
            self.trainable_variables = [self.scale]

        @tf.function(input_signature=[tf.TensorSpec((None, *SIZE, 3))])
        def serve(self, images):
            return images * self.scale

        @tf.function
        def __call__(self, images, training=False):
            return function(images) * self.scale

    module = Module()
    module.__call__.get_concrete_function(
        tf.TensorSpec((None, *SIZE, 3)), training=False
    )
    tf.saved_model.save(module, str(directory), signatures=module.serve)


def test_features_are_the_modules_own(tiny_module_dir, images):
    """A directory is a backbone: its features, size and dimension."""
    backbone = load_hub_backbone(str(tiny_module_dir), SIZE)

    features = backbone.model.predict_on_batch(images)

    left, right = images[:, :, :4], images[:, :, 4:]
    assert backbone.image_size == SIZE
    assert backbone.feature_dim == 4
    np.testing.assert_allclose(
        features,
        np.stack(
            [
                left[..., 0].mean((1, 2)),
                right[..., 1].mean((1, 2)),
                images[..., 2].mean((1, 2)),
                (left.mean((1, 2, 3)) - right.mean((1, 2, 3))),
            ],
            axis=-1,
        ),
        atol=1e-5,
    )


def test_the_place_of_a_directory_changes_nothing(tiny_module_dir, module_dir):
    """Name and digest are those of the content, so that a cache may move."""
    one = load_hub_backbone(str(tiny_module_dir), SIZE)
    other = load_hub_backbone(str(module_dir), SIZE)

    assert (one.name, one.weights_digest) == (other.name, other.weights_digest)


def test_another_weight_is_another_digest(module_dir):
    """A single other byte in the variables makes another backbone."""
    before = digest_directory(module_dir)
    data = next(module_dir.glob("variables/variables.data*"))
    first, *rest = data.read_bytes()
    data.write_bytes(bytes([first ^ 1, *rest]))

    assert digest_directory(module_dir) != before


def test_variables_are_counted_once_and_stay_frozen(tiny_module_dir):
    """Whatever is unfrozen around it, a module is never trained."""
    images = keras.Input((*SIZE, 3))
    backbone = load_hub_backbone(str(tiny_module_dir), SIZE).model
    both = backbone(images) + backbone(keras.ops.flip(images, axis=2))
    model = keras.Model(images, keras.layers.Dense(3)(both))

    model.trainable = True

    assert backbone.count_params() == NUM_PARAMETERS
    assert model.count_params() == NUM_PARAMETERS + 4 * 3 + 3
    assert [weight.shape for weight in model.trainable_weights] == [
        (4, 3),
        (3,),
    ]


def test_variables_are_not_copied(tiny_module_dir, images):
    """Keras and the module share each variable's storage."""
    model = load_hub_backbone(str(tiny_module_dir), SIZE).model

    model.set_weights([np.zeros_like(w) for w in model.get_weights()])

    assert not model.predict_on_batch(images).any()


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_takes_a_module(tiny_module_dir, images, name):
    """Frozen, the call of the SavedModel is a graph like any other."""
    pytest.importorskip(ENGINES[name])
    backbone = load_hub_backbone(str(tiny_module_dir), SIZE)
    expected = backbone.model.predict_on_batch(images)

    features = create_engine(name, backbone)(images[:3])

    scale = np.abs(expected).max()
    np.testing.assert_allclose(features, expected[:3], atol=1e-4 * scale)


def test_a_saved_model_needs_no_directory(module_dir, images, tmp_path):
    """A `.keras` file carries the module, also when it is saved again."""
    model = load_hub_backbone(str(module_dir), SIZE).model
    expected = model.predict_on_batch(images)
    model.save(tmp_path / "first.keras")
    shutil.rmtree(module_dir)

    keras.models.load_model(tmp_path / "first.keras").save(
        tmp_path / "second.keras"
    )
    again = keras.models.load_model(tmp_path / "second.keras")

    np.testing.assert_array_equal(again.predict_on_batch(images), expected)
    assert again.count_params() == NUM_PARAMETERS
    assert not again.trainable_weights


def test_no_temporary_file_is_left(
    tiny_module_dir, images, tmp_path, monkeypatch
):
    """Loading, saving and loading again leave nothing behind."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    model = load_hub_backbone(str(tiny_module_dir), SIZE).model

    model.save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras").predict_on_batch(images)

    assert not list(scratch.iterdir())


def test_a_module_with_signatures_is_saved_again(images, tmp_path):
    """TF-Hub's own modules carry signatures beside `__call__`."""
    save_callable(tmp_path / "module", lambda x: tf.reduce_mean(x, (1, 2)))
    model = load_hub_backbone(str(tmp_path / "module"), SIZE).model

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")

    np.testing.assert_allclose(
        again.predict_on_batch(images), 2 * images.mean((1, 2)), atol=1e-6
    )


def test_a_missing_directory_is_named():
    """What is neither a folder nor an address is said to be missing."""
    with pytest.raises(BackboneError, match=r"no directory nowhere.*hub:DIR"):
        load_hub_backbone("nowhere", SIZE)


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index"]
)
def test_half_a_directory_is_refused(module_dir, name):
    """A SavedModel without graph or variables is named, and what is missing."""
    (module_dir / name).unlink()

    with pytest.raises(BackboneError, match=r"hub:DIR") as caught:
        load_hub_backbone(str(module_dir), SIZE)

    assert f"folder {module_dir} is no whole" in str(caught.value)
    assert f"Missing: {[name]}" in str(caught.value)


@pytest.mark.parametrize("pattern", ["saved_model.pb", "variables/*.data*"])
def test_a_truncated_directory_is_refused(module_dir, pattern):
    """Half a graph and half the variables are errors of the backbone."""
    path = next(module_dir.glob(pattern))
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(BackboneError, match=r"cannot be loaded.*hub:DIR"):
        load_hub_backbone(str(module_dir), SIZE)


def test_a_model_that_cannot_be_called_is_refused(tmp_path):
    """What `model.export` writes has signatures only; say what is needed."""
    plain = tf.Module()
    plain.variable = tf.Variable(1.0)
    tf.saved_model.save(plain, str(tmp_path / "plain"))

    with pytest.raises(BackboneError, match=r"__call__\(images, training\)"):
        load_hub_backbone(str(tmp_path / "plain"), SIZE)


def test_a_model_that_answers_no_vectors_is_refused(tmp_path):
    """A module that answers feature maps is told from one of vectors."""
    save_callable(tmp_path / "maps", lambda images: images)

    with pytest.raises(BackboneError, match=r"to \(batch, feature_dim\)"):
        load_hub_backbone(str(tmp_path / "maps"), SIZE)


def test_another_image_size_is_refused(tiny_module_dir):
    """A module of a fixed size says so before anything is embedded."""
    with pytest.raises(BackboneError, match="another `--image-size`"):
        load_hub_backbone(str(tiny_module_dir), (9, 9))
