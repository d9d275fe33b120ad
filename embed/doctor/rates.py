"""How fast a backbone was in the builds that were made on this machine."""

from collections.abc import Sequence
from typing import Any

from embed.doctor.subject import Subject


def look_at_rates(subject: Subject, image_size: int | None) -> dict[str, Any]:
    """Returns the rate of the newest cache of a backbone, if there is one.

    That of the last call that worked on it, decoding and writing included.

    Args:
        subject: Names the backbone.
        image_size: Height and width of its images, in pixels, if known.
    """
    from embed.artifacts import iterate_caches
    from embed.backbones.handle import parse_handle
    from embed.cache import FeatureCache
    from embed.catalogue.rate import rate_here

    handle = str(parse_handle(subject.backbone).anchored())
    for path, cache in iterate_caches(subject.artifacts_dir):
        if not isinstance(cache, FeatureCache):
            continue
        made, spec = cache.provenance, cache.spec
        side = spec.image_size[0]
        is_like = (
            made.backbone.handle == handle
            and made.backbone.cut == subject.cut
            and side == image_size
            and spec.precision == subject.precision
        )
        if is_like and (rate := rate_here(cache)):
            share = count_work(find_sides(spec.views), side) / len(spec.views)
            return {
                "rate": share * rate,
                "cache": path.name,
                "engine": made.engine,
                "feature_dim": cache.feature_dim,
                "image_size": side,
            }
    return {}


def find_sides(names: Sequence[str]) -> list[int | None]:
    """Returns the sizes of views in pixels, `None` for the backbone's."""
    from embed.views import find_view

    return [find_view(name).side for name in names]


def count_work(sides: Sequence[int | None], image_size: int) -> float:
    """Returns what views cost, one of the backbone's own size being 1.

    Args:
        sides: What `find_sides` returned.
        image_size: Height and width of the backbone's images, in pixels.
    """
    return sum(((side or image_size) / image_size) ** 2 for side in sides)
