"""TensorFlow Hub modules, and SavedModels like them, as a Keras 3 layer.

`hub.KerasLayer` is a Keras 2 layer and Keras 3 refuses it: `tensorflow_hub`
resolves and loads, and a small registered layer of ours wraps the result. It
keeps the SavedModel in the assets of a `.keras` file, so that a saved model
needs neither the hub nor the directory any more.
"""

import hashlib
import os
import shutil
import tempfile
import warnings
import weakref
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from embed.backbones.backbone import Backbone
from embed.errors import BackboneError
from embed.network import WAYS_OUT
from embed.network import limit_silence

LOCAL_NAME = "hub:local"  # A directory's place changes no vector.
CACHE_VARIABLE = "TFHUB_CACHE_DIR"
DEFAULT_CACHE = "~/.cache/tfhub_modules"  # The hub's own, in /tmp, gets swept.
SAVED_MODEL_FILES = ("saved_model.pb", "variables/variables.index")
CHUNK_BYTES = 2**20


@keras.saving.register_keras_serializable("headstart")
class HubModule(keras.layers.Layer):
    """A frozen SavedModel, images in [0, 1] to features.

    Args:
        feature_dim: Number of features a vector.
        directory: SavedModel with `__call__(images, training)` and
            `variables`. `None` while Keras reads the layer from a file that
            carries the SavedModel as an asset.
    """

    def __init__(
        self, feature_dim: int, directory: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.feature_dim = feature_dim
        if directory is not None:
            self._load(Path(directory))

    def call(self, images: Any) -> Any:
        """Returns the features of a batch of images."""
        return self._module(images, training=False)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, int]:
        """Returns `(batch, feature_dim)`."""
        return (input_shape[0], self.feature_dim)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor but the directory."""
        return {**super().get_config(), "feature_dim": self.feature_dim}

    def save_assets(self, inner_path: str) -> None:
        """Puts the SavedModel into a `.keras` file."""
        shutil.copytree(self._copy, inner_path, dirs_exist_ok=True)

    def load_assets(self, inner_path: str) -> None:
        """Takes the SavedModel out of a `.keras` file."""
        self._load(Path(inner_path))

    def save_own_variables(self, store: Any) -> None:
        """Saves nothing: the variables are in the SavedModel."""

    def load_own_variables(self, store: Any) -> None:
        """Loads nothing: the variables are in the SavedModel."""

    def _load(self, directory: Path) -> None:
        """Loads the module from a private copy, and counts its variables."""
        self._copy = tempfile.mkdtemp(prefix="headstart-hub-")
        # Not `TemporaryDirectory`, which warns when it goes with its owner.
        weakref.finalize(self, shutil.rmtree, self._copy, ignore_errors=True)
        shutil.copytree(directory, self._copy, dirs_exist_ok=True)
        self._module = load_module(Path(self._copy))
        # Keras locks a built layer against new weights; these come late when
        # the layer is read from a file.
        self._tracker.unlock()
        for number, variable in enumerate(self._module.variables):
            tracked = keras.Variable(
                variable, trainable=False, name=f"variable_{number}"
            )
            tracked._value = variable  # One storage, not a copy.
            self._track_variable(tracked)


def load_hub_backbone(address: str, image_size: tuple[int, int]) -> Backbone:
    """Resolves a module and wraps it as a backbone.

    Args:
        address: TF-Hub or Kaggle address, or a local SavedModel directory.
        image_size: `(height, width)` in pixels.

    Raises:
        BackboneError: If it cannot be resolved, loaded or called.
    """
    directory, name = resolve(address)
    module = load_module(directory)
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
    images = keras.Input((*image_size, 3), name="images")
    layer = HubModule(feature_dim, str(directory), name="module")
    model = keras.Model(images, layer(images), name="backbone_hub")
    model.trainable = False
    return Backbone(
        name=name, model=model, weights_digest=digest_directory(directory)
    )


def resolve(address: str) -> tuple[Path, str]:
    """Returns the module's directory, fetched where needed, and its name.

    Raises:
        BackboneError: If it cannot be had; says the ways out.
    """
    local = Path(address).expanduser()
    if local.is_dir():
        _require_whole(address, local)
        return local, LOCAL_NAME
    if "://" not in address:
        raise BackboneError(
            f"There is no directory {address}. Expected: a SavedModel "
            "directory, or an address such as https://tfhub.dev/... Give one "
            "with `--backbone hub:DIR`."
        )
    os.environ.setdefault(CACHE_VARIABLE, str(Path(DEFAULT_CACHE).expanduser()))
    try:
        with limit_silence():
            directory = Path(_import_hub().resolve(address))
    except Exception as error:  # urllib, tarfile and kagglehub raise anything.
        raise BackboneError(
            f"The module {address} could not be fetched: "
            f"{type(error).__name__}: {error}. {WAYS_OUT}"
        ) from error
    _require_whole(address, directory)
    return directory, f"hub:{address}"


def load_module(directory: Path) -> Any:
    """Loads a SavedModel and checks that it can serve as a backbone.

    Raises:
        BackboneError: If it cannot.
    """
    try:
        module = _import_hub().load(str(directory))
    except Exception as error:  # TensorFlow raises anything for a bad file.
        raise BackboneError(
            f"The SavedModel {directory} cannot be loaded: "
            f"{type(error).__name__}: {error}. Delete that folder if it is a "
            f"cache, and run again. {WAYS_OUT}"
        ) from error
    if not callable(module) or not hasattr(module, "variables"):
        raise BackboneError(
            f"The SavedModel {directory} cannot be called. Expected: TF2 "
            "format, with `__call__(images, training)` and `variables`, as "
            "TF-Hub feature vectors have from version 4 on. Give another with "
            "`--backbone`."
        )
    return module


def digest_directory(directory: Path) -> str:
    """Returns the SHA-256 of graph, variables and assets of a SavedModel."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name.startswith(
            ("saved_", "variables", "assets")
        ):
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
    return digest.hexdigest()


def _import_hub() -> Any:
    with warnings.catch_warnings():
        # tensorflow_hub 0.16.1 imports pkg_resources, which says that it goes.
        warnings.filterwarnings("ignore", message="pkg_resources")
        import tensorflow_hub
    return tensorflow_hub


def _require_whole(address: str, directory: Path) -> None:
    missing = [n for n in SAVED_MODEL_FILES if not (directory / n).is_file()]
    if missing:
        raise BackboneError(
            f"The folder {directory} of {address} is no whole SavedModel. "
            f"Expected: {list(SAVED_MODEL_FILES)}. Missing: {missing}. Delete "
            f"it if it is a cache, and run again. {WAYS_OUT}"
        )
