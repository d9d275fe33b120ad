"""How fast a backbone was in a build, where that says anything."""

from embed.cache import FeatureCache
from embed.provenance import host_name

MIN_SECONDS = 1.0  # Of a pass: less is no measurement.


def rate_here(cache: FeatureCache) -> float | None:
    """Returns the views a second of a cache that was built on this machine.

    Those of the last call that worked on it, decoding and writing included;
    `None` where it is another machine's, or was too short to be measured.
    """
    made = cache.provenance
    is_long = made.seconds.get("pass", 0.0) >= MIN_SECONDS
    if made.host != host_name() or not is_long:
        return None
    return made.views_per_second
