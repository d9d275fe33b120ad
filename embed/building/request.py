"""What a cache is built from, and the spec that follows from it."""

import dataclasses
from typing import Literal

from embed.backbones import Backbone
from embed.backbones import BackboneRequest
from embed.images import DEFAULT_MAX_PIXELS
from embed.sources import Source
from embed.sources import SourceRequest
from embed.spec import CacheSpec
from embed.spec import SplitSpec
from embed.spec import digest_rows
from embed.storage.parts import DEFAULT_MAX_FILE_BYTES


@dataclasses.dataclass(frozen=True)
class BuildRequest:
    """What a cache is built from and how.

    Args:
        source: Pictures and labels.
        backbone: What embeds them.
        views: Names of the views, the plain one first.
        precision: What the backbone computes in.
        dtype: What features are stored in.
        engine: One of `ENGINES`, or `auto`.
        batch_size: Images a call of the engine; default: what suits it.
        on_error: What a picture that cannot be decoded leads to: an error
            after the pass, or a cache without it.
        max_pixels: Largest number of pixels a picture may have; larger ones
            count as pictures that cannot be decoded.
        runner: `local`, this machine, or `ray`, a cluster.
        num_workers: Processes that compute; `None` for one on this machine,
            and for what suits a cluster.
        address: Of the cluster; `None` for one of this machine alone.
        gpus_per_worker: Of a cluster.
        blocks: Folder or URL where blocks lie until the cache is finished;
            `None` for beside the cache.
        max_file_bytes: Length of a file, at most; features of a cache that
            would be longer go into files of their own. The rows are the same.
    """

    source: SourceRequest
    backbone: BackboneRequest
    views: tuple[str, ...] = ("plain", "flip")
    precision: str = "float32"
    dtype: str = "float32"
    engine: str = "auto"
    batch_size: int | None = None
    on_error: Literal["fail", "skip"] = "fail"
    max_pixels: int = DEFAULT_MAX_PIXELS
    runner: Literal["local", "ray"] = "local"
    num_workers: int | None = None
    address: str | None = None
    gpus_per_worker: float = 0
    blocks: str | None = None
    max_file_bytes: int = DEFAULT_MAX_FILE_BYTES


def create_spec(
    request: BuildRequest, source: Source, backbone: Backbone
) -> CacheSpec:
    """Returns what determines the rows of a cache."""
    return CacheSpec(
        dataset=source.name,
        dataset_version=source.version,
        class_names=source.class_names,
        splits={
            split: SplitSpec(
                num_images=len(index.labels),
                digest=digest_rows(index.image_ids, index.labels),
            )
            for split, index in source.splits.items()
        },
        backbone=backbone.name,
        weights_digest=backbone.weights_digest,
        image_size=backbone.image_size,
        views=request.views,
        precision=request.precision,
        dtype=request.dtype,
    )
