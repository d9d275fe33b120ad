"""Which backbones there are, what they take, and how fast they were here.

Known rows come from `embed.backbones.known`; rates, and rows of backbones
that are not known, from the caches that were built with them.
"""

import dataclasses
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embed.artifacts import iterate_caches
from embed.backbones.handle import HUB
from embed.backbones.handle import KERAS
from embed.backbones.handle import KERAS_HUB
from embed.backbones.known import APPLICATIONS
from embed.backbones.known import KERAS_HUB_PRESETS
from embed.backbones.known import MODULES
from embed.cache import FeatureCache
from embed.catalogue.rate import rate_here
from embed.tables import render_table
from embed.views import find_view

MANY = KERAS_HUB  # Listed on request alone.


@dataclasses.dataclass(frozen=True)
class Measured:
    """How fast a backbone was when a cache was built.

    Args:
        views_per_second: Rate of the pass, decoding included.
        side: Of the images in pixels.
        engine: What ran it.
        precision: What it computed in.
        devices: What there was to compute on.
    """

    views_per_second: float
    side: int
    engine: str
    precision: str
    devices: str


@dataclasses.dataclass(frozen=True)
class Listed:
    """A backbone in the list; `None` where something is not known.

    Args:
        handle: What `--backbone` takes; of a local one its name.
        kind: One of `KINDS`.
        side: Of its images by default, or where it was used.
        feature_dim: Number of features a vector.
        num_parameters: Of the backbone.
        pixels: What `?range=` calls the pixels it takes.
        measured: The newest cache's rate.
    """

    handle: str
    kind: str
    side: int | None = None
    feature_dim: int | None = None
    num_parameters: int | None = None
    pixels: str | None = None
    measured: Measured | None = None


def list_backbones(
    artifacts_dir: Path, kind: str | None = None
) -> list[Listed]:
    """Returns the backbones of a kind, those that were used here included.

    Args:
        artifacts_dir: Whose caches tell what was used, and how fast it was.
        kind: One of `KINDS`; default: all, but of KerasHub only what was used.
    """
    rows = {row.handle: row for row in _list_known()}
    is_used = set()
    for cache in _newest_first(artifacts_dir):
        name = cache.spec.backbone
        # Files share a name, whatever is in them.
        key = name if name in rows else f"{name} {cache.spec.weights_digest}"
        row = rows.get(key) or Listed(handle=name, kind=name.partition(":")[0])
        is_used.add(key)
        rows[key] = dataclasses.replace(
            row,
            side=row.side or cache.spec.image_size[0],
            feature_dim=row.feature_dim or cache.feature_dim,
            measured=row.measured or _measure(cache),
        )
    return [
        row
        for key, row in rows.items()
        if row.kind == kind
        or (kind is None and (row.kind != MANY or key in is_used))
    ]


def draw_table(rows: Iterable[Listed]) -> str:
    """Returns the rows as a table for people."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("backbone", "features", "px", "parameters", "pixels"):
        is_text = name in ("backbone", "pixels")
        table.add_column(name, justify="left" if is_text else "right")
    table.add_column("views/s here", justify="left")
    for row in rows:
        table.add_row(
            row.handle,
            _format(row.feature_dim),
            _format(row.side),
            _format(row.num_parameters),
            row.pixels or "",
            _describe(row.measured) if row.measured else "",
        )
    return "\n".join(render_table(table))


def to_payload(row: Listed) -> dict[str, Any]:
    """Returns a row for `--json`."""
    return dataclasses.asdict(row)


def _list_known() -> Iterator[Listed]:
    for kind, table in ((KERAS, APPLICATIONS), (HUB, MODULES)):
        for name, known in table.items():
            yield Listed(
                handle=f"{kind}:{name}" if kind == KERAS else name,
                kind=kind if kind == KERAS else name.partition(":")[0],
                side=known.side,
                feature_dim=known.feature_dim,
                num_parameters=known.num_parameters,
                pixels=known.pixels,
            )
    for name, num_parameters in KERAS_HUB_PRESETS.items():
        yield Listed(
            handle=f"{KERAS_HUB}:{name}",
            kind=KERAS_HUB,
            num_parameters=num_parameters,
        )


def _newest_first(artifacts_dir: Path) -> Iterator[FeatureCache]:
    """Yields the whole caches, the newest first."""
    for _, cache in iterate_caches(artifacts_dir):
        if isinstance(cache, FeatureCache):
            yield cache


def _measure(cache: FeatureCache) -> Measured | None:
    """Returns how fast a cache was built here; `None` if that is not known."""
    made = cache.provenance
    rate = rate_here(cache)
    is_of_one_size = not any(find_view(v).side for v in cache.spec.views)
    if rate is None or not is_of_one_size:
        return None
    return Measured(
        views_per_second=rate,
        side=cache.spec.image_size[0],
        engine=made.engine,
        precision=cache.spec.precision,
        devices=made.devices,
    )


def _describe(measured: Measured) -> str:
    return (
        f"{measured.views_per_second:,.0f} at {measured.side} px "
        f"({measured.engine}, {measured.precision})"
    )


def _format(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
