"""How a cache came about: all that may differ between equal caches."""

import datetime
import importlib.metadata
import platform

import pydantic

from embed.backbones.request import BackboneRequest
from embed.sources.source import SourceRequest

PACKAGES = (
    "headstart",
    "tensorflow",
    "keras",
    "keras-tuner",
    "numpy",
    "h5py",
)


class SkippedImage(pydantic.BaseModel, frozen=True, extra="forbid"):
    """A picture that has no row, and why."""

    split: str
    image_id: str
    reason: str


class Provenance(pydantic.BaseModel, frozen=True, extra="forbid"):
    """How a cache came about: what may differ between equal caches.

    Args:
        source: What was asked for, to open the pictures again.
        backbone: What was asked for, to load the backbone again.
        engine: What computed the features.
        created: When it was finished, ISO 8601 with time zone.
        host: Name of the machine.
        devices: What TensorFlow computed on.
        versions: Version by package.
        seconds: Wall-clock seconds by stage.
        skipped: Pictures without a row.
        num_oriented: Pictures with an EXIF orientation, which is not applied.
    """

    source: SourceRequest
    backbone: BackboneRequest
    engine: str
    created: str
    host: str
    devices: str
    versions: dict[str, str]
    seconds: dict[str, float]
    skipped: tuple[SkippedImage, ...] = ()
    num_oriented: int = 0


def installed_versions() -> dict[str, str]:
    """Returns the versions of the packages that results may depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def host_name() -> str:
    """Returns the name of this machine."""
    return platform.node()


def now() -> str:
    """Returns the time as ISO 8601 with its zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
