"""Whether features are those that the reference backbone answers."""

import numpy as np

from embed.backbones import Backbone
from embed.engines import Engine
from embed.errors import BackboneError
from embed.errors import EngineError

# What a difference may be, of the features' scale. In float32 that is the
# largest feature; engines differ by 4e-5. In bfloat16, with 8 bits of mantissa
# in each of 50 layers, single features move by a quarter of the largest; as a
# whole, of their root mean square, trained features move by 0.09 on photos and
# 0.14 on digits, random ones by 0.25.
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.35}
MIN_SCALE = 1e-6  # Fresh BatchNorm statistics give features below 1e-11.


def compare(
    features: np.ndarray, expected: np.ndarray, precision: str
) -> np.ndarray:
    """Returns how far each vector is from what was expected.

    Args:
        features: `(num_vectors, feature_dim)`.
        expected: The same of the reference backbone.
        precision: What the features were computed in.

    Returns:
        Shares of the scale that `TOLERANCES` speaks of, `(num_vectors,)`.
    """
    errors = features.astype(np.float64) - expected
    if precision == "bfloat16":
        of_errors = np.sqrt(np.mean(errors**2, axis=1))
        of_expected = np.sqrt(np.mean(expected.astype(np.float64) ** 2, axis=1))
        return np.asarray(of_errors / np.maximum(of_expected, MIN_SCALE))
    scale = max(float(np.abs(expected).max(initial=0.0)), MIN_SCALE)
    return np.asarray(np.abs(errors).max(axis=1, initial=0.0) / scale)


def check_engine(
    engine: Engine, backbone: Backbone, images: np.ndarray, precision: str
) -> None:
    """Compares an engine with the reference backbone on some images.

    Args:
        engine: What will run the backbone.
        backbone: The reference.
        images: float32 `(num_images, height, width, 3)` in [0, 1].
        precision: Sets the tolerance.

    Raises:
        BackboneError: If the features have no variance.
        EngineError: If they differ by more than the tolerance.
    """
    expected = backbone.embed(images)
    spread = float(expected.std(axis=0).max(initial=0.0))
    are_different = bool((images != images[:1]).any())
    if are_different and not spread > MIN_SCALE:
        raise BackboneError(
            f"The backbone {backbone.name} answers the same features for "
            f"every image. Expected: a standard deviation above {MIN_SCALE}. "
            f"Received: {spread:.1e}. Its weights are not trained, or do not "
            "fit: give others with `--weights`, or another `--backbone`."
        )
    features = engine(images)
    if precision == "bfloat16":
        features, expected = features.reshape(1, -1), expected.reshape(1, -1)
    differences = compare(features, expected, precision)
    worst = float(differences.max(initial=0.0))
    if not worst <= TOLERANCES[precision]:
        height, width = images.shape[1:3]
        raise EngineError(
            f"The engine {engine.name} does not compute what the backbone "
            f"{backbone.name} computes of images of {height} x {width} pixels. "
            f"Expected: a difference of at most {TOLERANCES[precision]:.1e} of "
            f"the features' scale. Received: {worst:.1e}. Run again with "
            "another `--engine`."
        )
