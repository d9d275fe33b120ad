"""What a build would take: time, memory and disk, and what that rests on."""

import dataclasses
from typing import Any

from embed.console import format_seconds
from embed.doctor.check import Finding
from embed.doctor.check import UnknownError
from embed.doctor.check import count
from embed.doctor.child import Facts
from embed.doctor.rates import count_work
from embed.memory import format_size

FEATURE_BYTES = {"float32": 4, "float16": 2}  # Of `--dtype`.
# Label, digests of the picture and of the row, and an id of some 30 letters.
ROW_BYTES = 100
COPIES = 2  # The blocks are there until the file that they make is whole.
INDEX_BYTES = 1_300  # Ids and digests of an image, in memory.
# TensorFlow, MobileNetV2 and an engine, where the backbone is not here.
STATED_MEMORY_BYTES = 1_700_000_000


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a build would take; `None` for what is not known.

    Args:
        num_images: Of both splits.
        num_views: Of an image.
        feature_dim: Of a view.
        cache_bytes: Of the finished cache.
        disk_bytes: What it takes until it is finished.
        memory_bytes: At its peak.
        views_per_second: Of views at the size of the backbone.
        seconds: Of the pass, without start-up and fetching.
        basis: What the rate rests on.
    """

    num_images: int | None
    num_views: int
    feature_dim: int | None
    cache_bytes: int | None
    disk_bytes: int | None
    memory_bytes: int
    views_per_second: float | None
    seconds: float | None
    basis: str

    def describe(self) -> str:
        """Returns one line for people."""
        images = "?" if self.num_images is None else f"{self.num_images:,}"
        width = "?" if self.feature_dim is None else f"{self.feature_dim:,}"
        size = (
            "a cache of unknown size"
            if self.cache_bytes is None
            else f"a cache of {format_size(self.cache_bytes)}"
        )
        time = (
            "an unknown time"
            if self.seconds is None
            else f"about {format_seconds(self.seconds)}"
        )
        views = count(self.num_views, "view")
        return (
            f"{images} images x {views} x {width} features: {size}, {time}. "
            f"{self.basis}"
        )


def make_estimate(facts: Facts, dtype: str = "float32") -> Estimate:
    """Adds up what the probe found out.

    Args:
        facts: What the probe found out.
        dtype: What features are stored in.

    Raises:
        UnknownError: If the dataset or the views are not known.
    """
    dataset, sides = facts.get("dataset"), facts.get("views")["sides"]
    backbone, rates, memory = (
        _get_or_nothing(facts, name) for name in ("backbone", "rates", "memory")
    )
    counts = dataset["num_images"]
    num_images = None if counts is None else sum(counts.values())
    feature_dim = backbone.get("feature_dim") or rates.get("feature_dim")
    rate = rates.get("rate") or backbone.get("rate")
    cache_bytes = seconds = None
    if num_images is not None and feature_dim is not None:
        vector_bytes = feature_dim * FEATURE_BYTES[dtype]
        row_bytes = len(sides) * vector_bytes + ROW_BYTES
        cache_bytes = num_images * row_bytes
    if num_images is not None and rate:
        image_size = rates.get("image_size") or backbone["image_size"]
        seconds = num_images * count_work(sides, image_size) / rate
    peak_bytes = STATED_MEMORY_BYTES
    if backbone.get("is_loaded"):
        peak_bytes = memory.get("peak_bytes", STATED_MEMORY_BYTES)
    return Estimate(
        num_images=num_images,
        num_views=len(sides),
        feature_dim=feature_dim,
        cache_bytes=cache_bytes,
        disk_bytes=None if cache_bytes is None else COPIES * cache_bytes,
        memory_bytes=peak_bytes + INDEX_BYTES * (num_images or 0),
        views_per_second=rate,
        seconds=seconds,
        basis=_describe_basis(rates, backbone),
    )


def check_estimate(estimate: Estimate) -> Finding:
    """Says what a build would take; nothing is wrong with that."""
    return Finding(estimate.describe())


def _describe_basis(rates: dict[str, Any], backbone: dict[str, Any]) -> str:
    if rates:
        return (
            f"Rate: {rates['rate']:,.0f} views/s on {rates['engine']}, as "
            f"{rates['cache']} was built here."
        )
    if "rate" in backbone:
        return (
            f"Rate: {backbone['rate']:,.0f} views/s of {backbone['measured']} "
            f"on {backbone['engine']}, measured for a second just now, without "
            "decoding."
        )
    return "Rate: not known, as the backbone is not here yet."


def _get_or_nothing(facts: Facts, name: str) -> dict[str, Any]:
    try:
        return facts.get(name)
    except UnknownError:
        return {}
