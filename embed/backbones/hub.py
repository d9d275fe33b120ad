"""TensorFlow Hub modules, and SavedModels like them, as a Keras 3 layer.

`hub.KerasLayer` is a Keras 2 layer and Keras 3 refuses it: `tensorflow_hub`
resolves and loads, and a small registered layer of ours wraps the result. It
keeps the SavedModel in the assets of a `.keras` file, so that a saved model
needs neither the hub nor the directory any more. Such a file is read after
`import embed.backbones.hub`, which registers the layer.
"""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from embed.backbones.backbone import Backbone
from embed.backbones.fetch import fetch
from embed.backbones.handle import HUB
from embed.backbones.handle import KAGGLE
from embed.backbones.handle import LOCAL
from embed.backbones.handle import RANGE
from embed.backbones.handle import expand
from embed.backbones.handle import join_handle
from embed.backbones.kaggle import fetch_from_kaggle
from embed.backbones.kaggle import name_version
from embed.backbones.known import DEFAULT_SIZE
from embed.backbones.module import digest_directory
from embed.backbones.module import find_fixed_size
from embed.backbones.module import load_module
from embed.backbones.scaling import UNIT
from embed.backbones.scaling import parse_range
from embed.errors import BackboneError


@dataclasses.dataclass(frozen=True)
class WrappedVariables:
    """A module's variables as Keras sees them, one storage and no copy.

    In an object of their own they are hidden from Keras, which refuses new
    variables in a layer that is built, as one read from a file is before its
    assets come; and from TensorFlow, which would export them twice.
    """

    variables: tuple[keras.Variable, ...] = ()


@keras.saving.register_keras_serializable("headstart")
class HubModule(keras.layers.Layer):
    """A frozen SavedModel, images in [0, 1] to features.

    Args:
        feature_dim: Number of features a vector.
        module: What `load_module` returns. `None` while Keras reads the layer
            from a file that carries the SavedModel as an asset.
    """

    def __init__(
        self, feature_dim: int, module: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.feature_dim = feature_dim
        self._wrap(module)

    @property
    def variables(self) -> list[keras.Variable]:
        """The module's variables."""
        return list(self._wrapped.variables)

    @property
    def weights(self) -> list[keras.Variable]:
        """The module's variables."""
        return self.variables

    def call(self, images: Any) -> Any:
        """Returns the features of a batch of images."""
        return self._module(images, training=False)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, int]:
        """Returns `(batch, feature_dim)`."""
        return (input_shape[0], self.feature_dim)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor but the module."""
        return {**super().get_config(), "feature_dim": self.feature_dim}

    def save_assets(self, inner_path: str) -> None:
        """Puts the SavedModel into a `.keras` file."""
        tf.saved_model.save(self._module, inner_path)

    def load_assets(self, inner_path: str) -> None:
        """Takes the SavedModel out of a `.keras` file."""
        advice = "The .keras file is damaged: export it again."
        self._wrap(load_module(Path(inner_path), advice))

    def save_own_variables(self, store: Any) -> None:
        """Saves nothing: the variables are in the SavedModel."""

    def load_own_variables(self, store: Any) -> None:
        """Loads nothing: the variables are in the SavedModel."""

    def _wrap(self, module: Any) -> None:
        self._module = module
        self._wrapped = WrappedVariables(
            tuple(
                keras.Variable(
                    variable, trainable=False, name=f"variable_{number}"
                )
                for number, variable in enumerate(
                    module.variables if module else ()
                )
            )
        )


def load_hub_backbone(
    address: str,
    image_size: tuple[int, int] | None = None,
    *,
    kind: str = HUB,
    options: dict[str, str] | None = None,
) -> Backbone:
    """Resolves a module and wraps it as a backbone.

    Args:
        address: TF-Hub address, or a local SavedModel directory; of kind
            `kaggle` the name of a module there.
        image_size: `(height, width)` in pixels; default: the module's own.
        kind: `hub` or `kaggle`.
        options: Of the handle.

    Raises:
        BackboneError: If it cannot be resolved, loaded or called.
    """
    directory, name, advice = _resolve(kind, address)
    module = load_module(directory, advice)
    image_size = image_size or find_fixed_size(module) or DEFAULT_SIZE
    try:
        features = module(tf.zeros((1, *image_size, 3)), training=False)
        (_, feature_dim) = features.shape
    except Exception as error:  # A foreign graph raises anything.
        raise BackboneError(
            f"The module {address} does not answer features for images of "
            f"{image_size}. Expected: float32 (batch, height, width, 3) to "
            f"(batch, feature_dim). Received: {type(error).__name__}: {error}."
            " Give another with `--backbone`, or another `--image-size`."
        ) from error
    return wrap_module(
        module,
        feature_dim,
        image_size,
        name=name,
        digest=digest_directory(directory),
        options=options or {},
    )


def wrap_module(
    module: Any,
    feature_dim: int,
    image_size: tuple[int, int],
    *,
    name: str,
    digest: str,
    options: dict[str, str],
    remarks: tuple[str, ...] = (),
) -> Backbone:
    """Makes a backbone of what can be called.

    Args:
        module: Images to features, with `variables`.
        feature_dim: Number of features a vector.
        image_size: `(height, width)` in pixels.
        name: What the fingerprint calls it, without options.
        digest: Of its weights and graph.
        options: Of the handle.
        remarks: See `Backbone`.
    """
    scaling = parse_range(options[RANGE]) if RANGE in options else UNIT
    images = keras.Input((*image_size, 3), name="images")
    layer = HubModule(feature_dim, module, name="module")
    features = layer(scaling.scale_tensor(images))
    model = keras.Model(images, features, name="backbone_hub")
    model.trainable = False
    kind, _, place = name.partition(":")
    return Backbone(
        name=join_handle(kind, place, options),
        model=model,
        weights_digest=digest,
        scaling=scaling,
        remarks=remarks,
    )


def _resolve(kind: str, address: str) -> tuple[Path, str, str]:
    """Returns a module's directory, its name, and advice for a bad one."""
    kept = (
        f"It is what is kept of {address}: delete that folder and run again, "
        "or give a local SavedModel with `--backbone hub:DIR`."
    )
    if kind == KAGGLE:
        directory = fetch_from_kaggle(address)
        return directory, f"{KAGGLE}:{name_version(address, directory)}", kept
    local = expand(address)
    if local.is_dir():
        advice = "Give a whole one with `--backbone hub:DIR`."
        return local, f"{HUB}:{LOCAL}", advice
    if "://" in address:
        return fetch(address), f"{HUB}:{address}", kept
    raise BackboneError(
        f"There is no directory {address}. Expected: a SavedModel "
        "directory, or an address such as https://tfhub.dev/... Give one "
        "with `--backbone hub:DIR`."
    )
