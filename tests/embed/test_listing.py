"""Tests for `embed.listing`."""

import os

from embed.listing import describe
from embed.listing import draw_table
from embed.listing import list_caches


def test_describe_is_the_whole_provenance(tiny_cache):
    """Everything that determines a cache, and how it came about."""
    facts = describe(tiny_cache)

    assert facts["cache"] == str(tiny_cache.path)
    assert facts["fingerprint"] == tiny_cache.spec.fingerprint()
    assert facts["num_images"] == {"train": 30, "test": 12}
    assert (facts["num_views"], facts["feature_dim"]) == (2, 4)
    assert facts["num_bytes"] == tiny_cache.path.stat().st_size
    assert facts["spec"]["class_names"] == ["cat", "dog", "été"]
    assert facts["provenance"]["engine"] == "tensorflow"
    assert facts["provenance"]["num_oriented"] == 0


def test_every_file_has_a_row(tiny_cache, tmp_path):
    """Whole caches, unusable ones and builds to be finished are listed."""
    bad = tiny_cache.path.with_name("bad.h5")
    bad.write_bytes(b"half")
    os.utime(bad, (0, 0))
    block_dir = tiny_cache.path.with_name("new.h5.building") / "train"
    block_dir.mkdir(parents=True)
    (block_dir / "00000000.npz").write_bytes(bytes(5))

    rows = list_caches(tmp_path / "artifacts")

    assert [row["status"] for row in rows] == [
        "complete",
        "unusable",
        "building",
    ]
    whole, unusable, building = rows
    assert whole["fingerprint"] == tiny_cache.fingerprint
    assert (whole["num_images"], whole["num_views"]) == (42, 2)
    assert "--overwrite" in unusable["error"]
    assert building["num_bytes"] == 5
    assert all(row["age_seconds"] >= 0 for row in rows)


def test_table_shows_names_whole(tiny_cache, tmp_path):
    """A name can be copied out of the table."""
    artifacts_dir = tmp_path / "artifacts"

    table = draw_table(list_caches(artifacts_dir), artifacts_dir)

    header, row = table.splitlines()
    assert header.split()[0] == "cache"
    assert row.split()[0] == tiny_cache.path.name
    assert row.split()[1:5] == ["complete", "folder", "hub:local", "42"]


def test_no_caches(tmp_path):
    """An empty list says what to run."""
    table = draw_table(list_caches(tmp_path), tmp_path)

    assert "`python -m embed build-cache`" in table
