"""What an export says of itself: labels, preprocessing and model card."""

import json

from embed.cache import FeatureCache
from head.exporting.full_model import IMAGES
from head.exporting.full_model import LOGITS
from head.exporting.full_model import PROBABILITIES

LABELS, PREPROCESSING, CARD = "labels.txt", "preprocessing.json", "README.md"


def format_labels(class_names: tuple[str, ...]) -> str:
    """Returns one class name a line, in the order of the logits."""
    return "".join(f"{name}\n" for name in class_names)


def describe_preprocessing(
    cache: FeatureCache, *, is_mirrored_too: bool, temperature: float | None
) -> str:
    """Returns JSON of what becomes of a picture before and in a model.

    Args:
        cache: Whose pictures it was made from.
        is_mirrored_too: Whether the model averages an image and its mirror.
        temperature: By which logits are divided to be calibrated.
    """
    spec = cache.spec
    height, width = spec.image_size
    fields = {
        "input": {
            "name": IMAGES,
            "dtype": "float32",
            "shape": ["batch", height, width, 3],
            "colour_order": "RGB",
            "range": list(spec.pixel_range),
        },
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
            "average_of_image_and_mirror": is_mirrored_too,
        },
        "outputs": {
            LOGITS: ["batch", len(spec.class_names)],
            PROBABILITIES: f"softmax of {LOGITS}; not in the .keras file",
            "order": LABELS,
        },
        "calibration_temperature": temperature,
    }
    return json.dumps(fields, indent=2) + "\n"
