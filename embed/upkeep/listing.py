"""What there is to say about a cache, and about all of them."""

import contextlib
import time
from pathlib import Path
from typing import Any

from embed.artifacts import CACHES
from embed.artifacts import iterate_caches
from embed.building.blocks import read_arrays
from embed.building.folder import BUILDING
from embed.building.folder import cache_path_of
from embed.building.folder import read_place
from embed.building.folder import read_spec
from embed.building.lock import is_being_built
from embed.cache import FeatureCache
from embed.console import format_seconds
from embed.storage.part_folders import measure_cache
from embed.tables import render_table

BYTES_PER_MB = 1e6


def describe(cache: FeatureCache) -> dict[str, Any]:
    """Returns the whole provenance of a cache."""
    return {
        "cache": str(cache.path),
        "fingerprint": cache.fingerprint,
        "num_images": cache.num_images,
        "num_views": len(cache.spec.views),
        "feature_dim": cache.feature_dim,
        "num_bytes": sum(cache.files.list_sizes()),
        "num_files": len(cache.files.list_sizes()),
        "spec": cache.spec.model_dump(mode="json"),
        "provenance": cache.provenance.model_dump(mode="json"),
    }


def list_caches(artifacts_dir: Path) -> list[dict[str, Any]]:
    """Returns a row for each cache file and for each unfinished build."""
    rows = []
    for path, cache in iterate_caches(artifacts_dir):
        try:
            row = {**_file_facts(path), "status": "complete"}
        except FileNotFoundError:  # Removed since.
            continue
        if isinstance(cache, FeatureCache):
            row |= {
                "fingerprint": cache.fingerprint,
                "dataset": cache.spec.dataset,
                "backbone": cache.spec.backbone,
                "num_images": sum(cache.num_images.values()),
                "num_views": len(cache.spec.views),
            }
        else:
            row |= {"status": "unusable", "error": str(cache)}
        rows.append(row)
    for build_dir in sorted((artifacts_dir / CACHES).glob(f"*{BUILDING}")):
        with contextlib.suppress(FileNotFoundError):  # Finished meanwhile.
            rows.append({**_file_facts(build_dir), **_build_facts(build_dir)})
    return rows


def draw_table(rows: list[dict[str, Any]], artifacts_dir: Path) -> str:
    """Returns the rows as a table for people."""
    from rich.table import Table

    if not rows:
        return (
            f"No caches in {artifacts_dir / CACHES}. Build one with "
            "`python -m embed build-cache`."
        )
    table = Table(box=None, pad_edge=False)
    columns = ("cache", "status", "dataset", "backbone", "images", "MB", "age")
    for name in columns:
        is_number = name in ("images", "MB", "age")
        table.add_column(name, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(
            Path(row["cache"]).name,
            row["status"],
            row.get("dataset", ""),
            row.get("backbone", ""),
            f"{row['num_images']:,}" if "num_images" in row else "",
            f"{row['num_bytes'] / BYTES_PER_MB:,.1f}",
            format_seconds(row["age_seconds"]),
        )
    return "\n".join(render_table(table))


def _build_facts(build_dir: Path) -> dict[str, Any]:
    """Returns what a build is for and how far it came."""
    cache_path = cache_path_of(build_dir)
    status = "building" if is_being_built(cache_path) else "unfinished"
    spec = read_spec(build_dir)
    if spec is None:
        return {"status": status}
    num_images = sum(split.num_images for split in spec.splits.values())
    place = read_place(build_dir)
    blocks = [
        read_arrays(path, ["image_ids"])  # No features: a build may be large.
        for split in spec.splits
        for path in (build_dir / split).glob("*.npz")
    ]
    num_done = sum(len(block["image_ids"]) for block in blocks if block)
    progress = f"{num_done / num_images:.0%} computed"
    if place != build_dir:  # Perhaps a store, which is not asked.
        progress = f"blocks in {place}"
    return {
        "status": f"{status}, {progress}",
        "fingerprint": spec.fingerprint(),
        "dataset": spec.dataset,
        "backbone": spec.backbone,
        "num_images": num_images,
        "num_views": len(spec.views),
    }


def _file_facts(path: Path) -> dict[str, Any]:
    return {
        "cache": str(path),
        "num_bytes": measure_cache(path),
        "age_seconds": max(time.time() - path.stat().st_mtime, 0.0),
    }
