"""Programs that one writes without Headstart, one at a time.

    python -m benchmarks.alternatives WAY FOLDER WEIGHTS FEATURES

embeds the pictures below FOLDER and writes their features to a `.npy` file,
float32 `(num_images, feature_dim)`, train in front of test.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.pictures import list_pictures
from benchmarks.with_keras import run_predict
from benchmarks.with_torch import run_torch_eager
from benchmarks.with_torch import run_torch_traced

PREDICT = "predict"
WAYS: dict[str, Callable[[list[str], str], np.ndarray]] = {
    PREDICT: run_predict,
    "torch eager": run_torch_eager,
    "torch traced": run_torch_traced,
}


def list_ways() -> list[str]:
    """Returns the ways whose libraries are installed here."""
    has_torch = all(
        importlib.util.find_spec(name) for name in ("torch", "torchvision")
    )
    return [name for name in WAYS if has_torch or name == PREDICT]


def main() -> None:
    """Embeds a folder in the way that is named."""
    way, folder, weights, features_path = sys.argv[1:]
    paths = [
        path
        for split in ("train", "test")
        for path in list_pictures(Path(folder), split)[0]
    ]
    np.save(features_path, WAYS[way](paths, weights))


if __name__ == "__main__":
    main()
