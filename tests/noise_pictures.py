"""Many small pictures of noise, no two alike, and builds of such folders."""

import numpy as np
from PIL import Image

from tests.conftest import TINY_SIZE

NOISE_CLASSES = ("cat", "dog")
NOISE_SIZE = (10, 12)


def write_noise(folder, *, num_train, num_test=4, seed=0, name="{:04}.png"):
    """Draws so many pictures a class, `SPLIT/CLASS/NAME`.

    Takes by name how a picture of a number is called. The same seed draws the
    same pictures.
    """
    rng = np.random.default_rng(seed)
    for split, number in {"train": num_train, "test": num_test}.items():
        for class_name in NOISE_CLASSES:
            class_dir = folder / split / class_name
            class_dir.mkdir(parents=True, exist_ok=True)
            for place in range(number):
                pixels = rng.integers(0, 256, (*NOISE_SIZE, 3), np.uint8)
                path = class_dir / name.format(place)
                Image.fromarray(pixels).save(path)
    return folder


def request_of(folder, module_dir, **fields):
    """Returns the build of a folder with the tiny backbone, both views."""
    from embed.backbones import BackboneRequest
    from embed.building.request import BuildRequest
    from embed.sources import SourceRequest

    return BuildRequest(
        source=SourceRequest(dataset=f"folder:{folder}"),
        backbone=BackboneRequest(
            handle=f"hub:{module_dir}", image_size=TINY_SIZE
        ),
        engine="tensorflow",
        **fields,
    )


def options_of(folder, module_dir):
    """Returns the options of `build-cache` for the same build."""
    return [
        *("--dataset", f"folder:{folder}", "--backbone", f"hub:{module_dir}"),
        *("--image-size", TINY_SIZE[0], "--engine", "tensorflow"),
    ]
