"""How a cache came about: all that may differ between equal caches."""

import datetime
import importlib.metadata
import platform

import pydantic

from embed.backbones.request import BackboneRequest
from embed.sources.request import SourceRequest

PACKAGES = (
    "headstart",
    "tensorflow",
    "keras",
    "keras-tuner",
    "numpy",
    "h5py",
)


class SkippedImage(pydantic.BaseModel, frozen=True, extra="forbid"):
    """A picture that has no row, and why.

    Args:
        split: `"train"` or `"test"`.
        image_id: Its id.
        reason: Why it could not be decoded.
        content_digest: SHA-256 of its bytes, hexadecimal; `""` where they
            could not be read.
    """

    split: str
    image_id: str
    reason: str
    content_digest: str = ""


class Attempt(pydantic.BaseModel, frozen=True):
    """One call that worked on a build, to its end or not.

    Args:
        started: When, ISO 8601 with time zone.
        host: Name of the machine.
        pid: Of the process.
        engine: What ran the backbone.
        num_views: Views run through the backbone; of a killed attempt its
            last block counts whole.
        parents: Names of the caches from which it took rows over.
    """

    started: str
    host: str
    pid: int
    engine: str
    num_views: int
    parents: tuple[str, ...] = ()


class Provenance(pydantic.BaseModel, frozen=True, extra="forbid"):
    """How a cache came about: what may differ between equal caches.

    Args:
        source: What was asked for, to open the pictures again.
        backbone: What was asked for, to load the backbone again.
        engine: What computed the features, in the last attempt.
        max_pixels: Largest number of pixels a picture may have.
        created: When it was finished, ISO 8601 with time zone.
        host: Name of the machine.
        devices: What TensorFlow computed on, and in which workers.
        versions: Version by package.
        seconds: Of the last attempt by stage: those of all threads, and as
            `pass` by the clock, all but start-up.
        skipped: Pictures without a row.
        max_pixels_of_skipped: The limit under which they were skipped; `None`
            in older caches: `max_pixels`, which is that of all rows.
        num_oriented: Pictures with an EXIF orientation, which is not applied.
        parents: Caches from which rows were taken over.
        attempts: The calls that computed the rest.
    """

    source: SourceRequest
    backbone: BackboneRequest
    engine: str
    max_pixels: int
    created: str
    host: str
    devices: str
    versions: dict[str, str]
    seconds: dict[str, float]
    skipped: tuple[SkippedImage, ...] = ()
    max_pixels_of_skipped: int | None = None
    num_oriented: int = 0
    parents: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def num_timed(self) -> int:
        """Views of the last attempt, which `seconds` speak of."""
        return self.attempts[-1].num_views if self.attempts else 0

    @property
    def views_per_second(self) -> float | None:
        """Rate of the last attempt without start-up, if one was measured."""
        seconds = self.seconds.get("pass")
        return self.num_timed / seconds if seconds and self.num_timed else None


def installed_versions() -> dict[str, str]:
    """Returns the versions of the packages that results may depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def host_name() -> str:
    """Returns the name of this machine."""
    return platform.node()


def now() -> str:
    """Returns the time as ISO 8601 with its zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
