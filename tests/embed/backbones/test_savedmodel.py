"""SavedModels of images to features, whoever wrote them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.errors import BackboneError
from tests.embed.backbones.tiny_models import SIZE
from tests.embed.backbones.tiny_models import classifier
from tests.embed.backbones.tiny_models import draw_images
from tests.embed.backbones.tiny_models import layer_output


def load(directory, query="", **fields):
    """Loads `savedmodel:DIR`."""
    handle = f"savedmodel:{directory}{query}"
    return load_backbone(BackboneRequest(handle=handle, **fields))


def save_signature(directory, function, shape=(None, *SIZE, 3)):
    """Saves a SavedModel with a serving signature and no `__call__`."""
    module = tf.Module()
    module.scale = tf.Variable(2.0)
    module.serve = tf.function(
        lambda images: function(images * module.scale),
        input_signature=[tf.TensorSpec(shape, tf.float32, name="pixels")],
    )
    tf.saved_model.save(module, str(directory), signatures=module.serve)


@pytest.fixture(name="network", scope="module")
def _network():
    """A classifier cut at a map of features."""
    model = classifier()
    return keras.Model(model.inputs[0], model.get_layer("relu").output)


@pytest.fixture(name="exported", scope="module")
def _exported(network, tmp_path_factory):
    """What `keras.Model.export` writes of it."""
    directory = tmp_path_factory.mktemp("export") / "net"
    network.export(directory, verbose=False)
    return directory


def test_what_keras_exports_is_a_backbone(exported, network):
    """It has a signature only; its maps are averaged, its pixels scaled."""
    images = draw_images()

    backbone = load(exported, "?range=-1,1")

    assert (backbone.image_size, backbone.feature_dim) == (SIZE, 6)
    assert backbone.name == "savedmodel:local?range=-1,1&cut=output_0"
    expected = layer_output(network, "relu", 2 * images - 1).mean((1, 2))
    features = backbone.model.predict_on_batch(images)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-6)
    assert backbone.model.count_params() == network.count_params()


def test_a_wrapped_model_is_saved_without_its_folder(exported, tmp_path):
    """A `.keras` file carries it, also when it is saved a second time."""
    images = draw_images()
    backbone = load(exported)
    expected = backbone.model.predict_on_batch(images)

    backbone.model.save(tmp_path / "first.keras")
    again = keras.models.load_model(tmp_path / "first.keras")
    again.save(tmp_path / "second.keras")
    again = keras.models.load_model(tmp_path / "second.keras")

    np.testing.assert_array_equal(again.predict_on_batch(images), expected)


def test_a_module_of_tf_hub_is_called(tiny_module_dir):
    """What can be called as a module is, by either kind of handle."""
    images = draw_images(size=(8, 8))

    one = load(tiny_module_dir, image_size=(8, 8))
    other = load_backbone(BackboneRequest(handle=f"hub:{tiny_module_dir}"))

    assert one.weights_digest == other.weights_digest
    assert other.image_size == (8, 8)
    np.testing.assert_allclose(one.embed(images), other.embed(images))


def save_callable(directory, spec, *, signature=None):
    """Saves a SavedModel with a `__call__` of one argument."""
    module = tf.Module()
    module.scale = tf.Variable(2.0)
    module.__call__ = tf.function(
        lambda x: tf.reduce_mean(x * module.scale, (1, 2)),
        input_signature=[spec],
    )
    tf.saved_model.save(module, str(directory), signatures=signature)


def test_a_call_without_training_is_called_at_its_own_size(tmp_path):
    """As it was saved: for images of one size, and with one argument."""
    images = tf.TensorSpec((None, 12, 20, 3), tf.float32)
    save_callable(tmp_path / "bare", images)
    batch = np.ones((1, 12, 20, 3), np.float32)

    backbone = load(tmp_path / "bare")

    assert backbone.image_size == (12, 20)
    np.testing.assert_allclose(backbone.embed(batch), [[2.0, 2.0, 2.0]])


def test_a_signature_serves_where_the_call_takes_no_images(tmp_path):
    """It is said which one is called."""
    serve = tf.function(
        lambda pixels: {"features": tf.reduce_max(pixels, (1, 2))},
        input_signature=[tf.TensorSpec((None, *SIZE, 3), tf.float32, "pixels")],
    )
    texts = tf.TensorSpec((None, 5, 5), tf.float32)
    save_callable(tmp_path / "both", texts, signature=serve)

    backbone = load(tmp_path / "both")

    assert (backbone.image_size, backbone.feature_dim) == (SIZE, 3)
    assert "signature `serving_default` is called" in backbone.remarks[0]


def test_one_of_several_outputs_is_cut_at(tmp_path):
    """`--cut` names it; without, they are listed."""
    save_signature(
        tmp_path / "two",
        lambda x: {"mean": tf.reduce_mean(x, (1, 2)), "maps": x},
    )
    images = draw_images()

    features = load(tmp_path / "two", cut="mean").embed(images)

    np.testing.assert_allclose(features, 2 * images.mean((1, 2)), rtol=1e-5)
    for cut in (None, "none"):
        with pytest.raises(BackboneError, match=r"'maps'.*`--cut NAME`"):
            load(tmp_path / "two", cut=cut)


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (tf.identity, (None, 5), "does not take images"),
        (lambda x: x[0, 0, 0, 0], (None, *SIZE, 3), "answer features"),
    ],
)
def test_what_is_no_backbone_is_refused(tmp_path, function, shape, message):
    """Other inputs and other outputs are told before anything is embedded."""
    save_signature(tmp_path / "other", function, shape)

    with pytest.raises(BackboneError, match=f"{message}.*--backbone"):
        load(tmp_path / "other")


def test_no_folder_is_named(tmp_path):
    """The message says what is expected there."""
    with pytest.raises(BackboneError, match="savedmodel:DIR"):
        load(tmp_path / "none")
