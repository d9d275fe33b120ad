"""How fast a backbone was in the builds that were made on this machine."""

from typing import Any

from embed.doctor.subject import Subject

MIN_SECONDS = 1.0  # Of a pass: less is no measurement.


def look_at_rates(subject: Subject) -> dict[str, Any]:
    """Returns the rate of the newest cache of a backbone, if there is one.

    That of the last call that worked on it, decoding and writing included.
    """
    from embed.artifacts import iterate_caches
    from embed.cache import FeatureCache
    from embed.provenance import host_name

    for path, cache in iterate_caches(subject.artifacts_dir):
        if not isinstance(cache, FeatureCache):
            continue
        provenance, spec = cache.provenance, cache.spec
        is_like = (
            provenance.backbone.handle == subject.backbone
            and spec.image_size[0] == subject.image_size
            and provenance.host == host_name()
            and spec.precision == "float32"
        )
        seconds = provenance.seconds.get("pass", 0.0)
        if is_like and provenance.attempts and seconds >= MIN_SECONDS:
            share = count_work(spec.views, subject.image_size) / len(spec.views)
            return {
                "rate": share * provenance.attempts[-1].num_views / seconds,
                "cache": path.name,
                "engine": provenance.engine,
                "feature_dim": cache.feature_dim,
            }
    return {}


def count_work(names: tuple[str, ...], image_size: int) -> float:
    """Returns what views cost: as many of the size of the backbone.

    Args:
        names: Of the views.
        image_size: Height and width of the backbone's images, in pixels.
    """
    from embed.views import find_view

    sides = [find_view(name).side or image_size for name in names]
    return sum((side / image_size) ** 2 for side in sides)
