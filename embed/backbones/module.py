"""SavedModels that can be called: what is on disk, and what was loaded."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

from embed.errors import BackboneError

SAVED_MODEL_FILES = ("saved_model.pb", "variables/variables.index")
HASHED = ("saved_model", "variables", "assets")  # All that sets a vector.
CHUNK_BYTES = 2**20
RANK = 4  # (batch, height, width, channels)


def load_module(directory: Path, advice: str) -> Any:
    """Loads a SavedModel and checks that it can serve as a backbone.

    Args:
        directory: Where it lies.
        advice: What a user can do when it is none.

    Raises:
        BackboneError: If it is not whole, or cannot be called.
    """
    module = load_saved_model(directory, advice)
    if not callable(module) or not hasattr(module, "variables"):
        raise BackboneError(
            f"The SavedModel {directory} cannot be called. Expected: TF2 "
            "format, with `__call__(images, training)` and `variables`, as "
            "TF-Hub feature vectors have from version 4 on. Give another with "
            "`--backbone`, or, where it has a serving signature, as "
            "`--backbone savedmodel:DIR`."
        )
    return module


def load_saved_model(directory: Path, advice: str) -> Any:
    """Loads any SavedModel.

    Args:
        directory: Where it lies.
        advice: What a user can do when it is none.

    Raises:
        BackboneError: If it is not whole.
    """
    missing = [n for n in SAVED_MODEL_FILES if not (directory / n).is_file()]
    if missing:
        raise BackboneError(
            f"The folder {directory} is no whole SavedModel. Expected: "
            f"{list(SAVED_MODEL_FILES)}. Missing: {missing}. {advice}"
        )
    try:
        return import_hub().load(str(directory))
    except Exception as error:  # TensorFlow raises anything for a bad file.
        raise BackboneError(
            f"The SavedModel {directory} cannot be loaded: "
            f"{type(error).__name__}: {error}. {advice}"
        ) from error


def find_fixed_size(module: Any) -> tuple[int, int] | None:
    """Returns the size of images for which `__call__` was saved.

    `None` where it is open.
    """
    import tensorflow as tf

    for concrete in getattr(module.__call__, "concrete_functions", ()):
        for spec in tf.nest.flatten(concrete.structured_input_signature):
            shape = getattr(spec, "shape", tf.TensorShape(None))
            if shape.rank == RANK and None not in shape[1:3]:
                height, width = shape[1:3]
                return int(height), int(width)
    return None


def digest_directory(directory: Path) -> str:
    """Returns the SHA-256 of graph, variables and assets of a SavedModel."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name.startswith(HASHED):
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
    return digest.hexdigest()


def import_hub() -> Any:
    """Returns `tensorflow_hub`, imported without its warning."""
    with warnings.catch_warnings():
        # tensorflow_hub 0.16.1 imports pkg_resources, which says that it goes.
        warnings.filterwarnings("ignore", message="pkg_resources")
        import tensorflow_hub
    return tensorflow_hub
