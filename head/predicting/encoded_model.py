"""An exported model that takes encoded pictures, and averages views of them.

It decodes them itself, in TensorFlow. They are decoded once before, too, so
that one that is damaged is told by its reason and stops no other.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from embed.errors import EngineError
from embed.images import ImageDecoder

LEAST_SIZE = (1, 1)  # What is thrown away need not be large.
# Pictures a call: each is there in several sizes, one by one.
BATCH_SIZE = 8


class EncodedModel:
    """Runs a SavedModel of encoded pictures as it was loaded.

    Args:
        serve: Strings `(batch,)` to logits `(batch, num_classes)`.
        num_classes: Number of classes.
    """

    name = "tensorflow"
    num_streams = 1
    batch_size = BATCH_SIZE

    def __init__(
        self, serve: Callable[[list[bytes]], np.ndarray], num_classes: int
    ) -> None:
        self._serve = serve
        self.feature_dim = num_classes

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Returns the logits of pictures, bytes as objects `(batch,)`."""
        return self._serve(pictures.tolist())


def require_engine(path: Path, engine: str | None) -> None:
    """Refuses engines for a model that decodes pictures itself.

    Args:
        path: Of the model.
        engine: The one that is wanted, if one is.

    Raises:
        EngineError: If it is another than TensorFlow.
    """
    if engine not in (None, EncodedModel.name):
        raise EngineError(
            f"The model {path} takes whole pictures, since it averages views "
            "of them, and TensorFlow alone decodes these. Expected: `--engine "
            f"{EncodedModel.name}` or auto. Received: {engine}. Run again "
            "with one of them, or export without `--tta`."
        )


class PictureChecker:
    """Passes on the bytes of those pictures that can be decoded.

    Args:
        max_pixels: Of the largest picture that is decoded.
    """

    def __init__(self, max_pixels: int) -> None:
        self._decode = ImageDecoder(LEAST_SIZE, max_pixels)

    def __call__(self, encoded: bytes) -> np.ndarray:
        """Returns the bytes as an object `()`.

        Raises:
            ImageDecodeError: If they are no picture, or too large a one.
        """
        self._decode(encoded)
        return np.array(encoded, dtype=object)
