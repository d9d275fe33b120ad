"""Tests for `embed.upkeep.listing`."""

import os
import shutil

import pytest

from embed.building.lock import lock_build
from embed.console import Console
from embed.upkeep.listing import describe
from embed.upkeep.listing import draw_table
from embed.upkeep.listing import list_caches
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import write_drawn_cache
from tests.noise_pictures import request_of
from tests.noise_pictures import write_noise
from tests.stopping_console import StoppingConsole


@pytest.fixture(name="unfinished")
def _unfinished(tiny_module_dir, tmp_path):
    """A build of 600 pictures that was interrupted after 256; its folder."""
    from embed.extract import build_cache

    pictures = write_noise(tmp_path / "noise", num_train=280, num_test=20)
    with pytest.raises(KeyboardInterrupt):
        build_cache(
            request_of(pictures, tiny_module_dir),
            artifacts_dir=tmp_path / "artifacts",
            console=StoppingConsole(2 * 300),
        )
    (build_dir,) = (tmp_path / "artifacts" / "caches").glob("*.building")
    return build_dir


def test_describe_is_the_whole_provenance(tiny_cache):
    """Everything that determines a cache, and how it came about."""
    facts = describe(tiny_cache)

    assert facts["cache"] == str(tiny_cache.path)
    assert facts["fingerprint"] == tiny_cache.spec.fingerprint()
    assert facts["num_images"] == {"train": 30, "test": 12}
    assert (facts["num_views"], facts["feature_dim"]) == (2, 4)
    assert facts["num_bytes"] == tiny_cache.path.stat().st_size
    assert facts["num_files"] == 1
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
        "unfinished",
    ]
    whole, unusable, unfinished = rows
    assert whole["fingerprint"] == tiny_cache.fingerprint
    assert (whole["num_images"], whole["num_views"]) == (42, 2)
    assert "--overwrite" in unusable["error"]
    assert unfinished["num_bytes"] == 5
    assert all(row["age_seconds"] >= 0 for row in rows)


def test_the_size_of_a_cache_in_parts_is_that_of_its_files(tmp_path):
    """Also when one is missing, and the cache is of no use."""
    path = tmp_path / "caches" / "parts.h5"
    path.parent.mkdir()
    write_drawn_cache(path, max_file_bytes=PART_BYTES)
    files = sorted(path.parent.rglob("*.h5"))
    sizes = [file.stat().st_size for file in files]

    (whole,) = list_caches(tmp_path)
    files[-1].unlink()
    (damaged,) = list_caches(tmp_path)

    assert (whole["status"], whole["num_bytes"]) == ("complete", sum(sizes))
    assert damaged["status"] == "unusable"
    assert damaged["num_bytes"] == sum(sizes[:-1])


def test_an_unfinished_build_says_how_far_it_came(unfinished, tmp_path):
    """256 of 600 pictures are 43 %; it can go on."""
    (row,) = list_caches(tmp_path / "artifacts")

    assert row["cache"] == str(unfinished)
    assert row["status"] == "unfinished, 43% computed"
    assert (row["num_images"], row["num_views"]) == (600, 2)
    assert row["dataset"] == "folder"
    assert row["fingerprint"] in unfinished.name


def test_a_build_that_goes_on_is_told_from_one_that_does_not(
    unfinished, tmp_path
):
    """Whoever holds the lock is building it."""
    path = unfinished.with_name(unfinished.name.removesuffix(".building"))

    with lock_build(path, is_waiting=False, console=Console(is_quiet=True)):
        (during,) = list_caches(tmp_path / "artifacts")
    (after,) = list_caches(tmp_path / "artifacts")

    assert during["status"] == "building, 43% computed"
    assert after["status"] == "unfinished, 43% computed"


def test_the_lock_of_a_dead_process_is_no_builder(unfinished, tmp_path):
    """The file that a kill left does not make a build go on."""
    name = unfinished.name.removesuffix(".building")
    unfinished.with_name(f"{name}.lock").write_text('{"pid": 1}')

    (row,) = list_caches(tmp_path / "artifacts")

    assert row["status"] == "unfinished, 43% computed"


def test_damaged_blocks_do_not_count(unfinished, tmp_path):
    """They will be computed again."""
    (block,) = unfinished.rglob("*.npz")
    block.write_bytes(block.read_bytes()[:100])

    (row,) = list_caches(tmp_path / "artifacts")

    assert row["status"] == "unfinished, 0% computed"


def test_table_shows_names_whole(tiny_cache, tmp_path):
    """A name can be copied out of the table."""
    artifacts_dir = tmp_path / "artifacts"

    table = draw_table(list_caches(artifacts_dir), artifacts_dir)

    header, row = table.splitlines()
    assert header.split()[0] == "cache"
    assert row.split()[0] == tiny_cache.path.name
    assert row.split()[1:5] == ["complete", "folder", "hub:local", "42"]


def test_table_of_an_unfinished_build(unfinished, tmp_path):
    """Its share stands in the column of the status."""
    artifacts_dir = tmp_path / "artifacts"

    table = draw_table(list_caches(artifacts_dir), artifacts_dir)

    _, row = table.splitlines()
    assert row.split()[:4] == [
        unfinished.name,
        "unfinished,",
        "43%",
        "computed",
    ]


def test_no_caches(tmp_path):
    """An empty list says what to run."""
    table = draw_table(list_caches(tmp_path), tmp_path)

    assert "`python -m embed build-cache`" in table


def test_a_build_that_goes_while_it_is_listed(unfinished, tmp_path):
    """A folder without its spec is listed all the same."""
    shutil.rmtree(unfinished / "train")
    (unfinished / "spec.json").unlink()

    (row,) = list_caches(tmp_path / "artifacts")

    assert row["status"] == "unfinished"


def test_a_link_that_leads_nowhere_is_passed_over(tiny_cache, tmp_path):
    """What it led to is gone; the others are listed."""
    tiny_cache.path.with_name("x.h5").symlink_to(tmp_path / "gone.h5")

    (row,) = list_caches(tmp_path / "artifacts")

    assert row["cache"] == str(tiny_cache.path)
