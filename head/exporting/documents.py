"""What an export says of itself: labels, preprocessing and model card."""

import json
from collections.abc import Sequence

from embed.cache import FeatureCache
from embed.views import FLIP
from embed.views import PLAIN
from head.exporting.full_model import ENCODED
from head.exporting.full_model import IMAGES
from head.exporting.full_model import LOGITS
from head.exporting.full_model import PROBABILITIES
from head.exporting.pixels import needs_pictures

LABELS, PREPROCESSING, CARD = "labels.txt", "preprocessing.json", "README.md"
MADE_WITH = "made_with"  # Of the preprocessing: which backbone is inside.
OF_BACKBONE = ("backbone", "weights_digest")  # Fields of a cache's spec.


def format_labels(class_names: tuple[str, ...]) -> str:
    """Returns one class name a line, in the order of the logits."""
    return "".join(f"{name}\n" for name in class_names)


def describe_preprocessing(
    cache: FeatureCache, *, views: Sequence[str], temperature: float | None
) -> str:
    """Returns JSON of what becomes of a picture before and in a model.

    Args:
        cache: Whose pictures it was made from.
        views: Names of the views whose logits are averaged.
        temperature: By which logits are divided to be calibrated.
    """
    spec = cache.spec
    height, width = spec.image_size
    of_pixels: dict[str, object] = {
        "name": IMAGES,
        "dtype": "float32",
        "shape": ["batch", height, width, 3],
        "colour_order": "RGB",
        "range": list(spec.pixel_range),
    }
    of_pictures: dict[str, object] = {
        "name": ENCODED,
        "dtype": "string",
        "shape": ["batch"],
        "holds": "bytes of JPEG, PNG, BMP or GIF files",
    }
    is_of_pictures = needs_pictures(views)
    fields = {
        "input": of_pictures if is_of_pictures else of_pixels,
        "decoding": {
            "exif_orientation": "not applied",
            "transparency": "dropped",
            "grey": "repeated as red, green and blue",
            "animation": "first frame",
            "scale": "8-bit levels divided by 255, 16-bit ones by 65535",
        },
        "resize": {
            "size": [height, width],
            "method": spec.resize,
            "antialias": False,
            "keep_aspect_ratio": False,
            "pixel_centers": "half",
            "order": "after scaling, in float32",
        },
        "inside_the_model": {
            "scaling_of_the_backbone": True,
            "decoding_and_resize": is_of_pictures,
            "average_of_image_and_mirror": tuple(views) == (PLAIN, FLIP),
            "averaged_views": list(views),
        },
        "outputs": {
            LOGITS: ["batch", len(spec.class_names)],
            PROBABILITIES: f"softmax of {LOGITS}; not in the .keras file",
            "order": LABELS,
        },
        "calibration_temperature": temperature,
        MADE_WITH: {name: getattr(spec, name) for name in OF_BACKBONE},
    }
    return json.dumps(fields, indent=2) + "\n"
