"""Tests for `embed.building.lookup`; `test_extract.py` has its use."""

import shutil
from pathlib import Path

import pytest

from embed.building.folder import SPEC
from embed.building.lookup import find_builds
from embed.building.lookup import find_caches
from embed.cache import open_damaged
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import change_bytes
from tests.drawn_caches import create_spec
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of
from tests.drawn_caches import write_drawn_cache

MAX_PIXELS = PROVENANCE.max_pixels


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of 300 training and 4 test rows."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path)
    return path


def test_caches_of_other_vectors_are_no_parents(path, tmp_path):
    """Only equal vectors are taken over; other pictures and views may be."""
    paths = {"cache": path}
    for name, fields in {
        "more": {"num_train": 301},
        "names": {"class_names": ("a", "b", "c")},
        "plain": {"num_views": 1},
        "backbone": {"backbone": "keras:Other"},
        "size": {"image_size": (9, 9)},
        "half": {"dtype": "float16"},
        "dataset": {"dataset": "digits"},
    }.items():
        paths[name] = tmp_path / f"{name}.h5"
        write_drawn_cache(paths[name], **fields)

    parents = find_caches(create_spec(), paths.values(), max_pixels=MAX_PIXELS)

    found = [parent.path.stem for parent in parents]
    assert found == ["cache", "more", "names", "plain"]


def test_damaged_caches_are_passed_over(path, tmp_path):
    """Nothing is taken from a file whose structure or index is damaged."""
    names = ("index", "structure", "text", "absent")
    paths = [tmp_path / f"{name}.h5" for name in names]
    for copy in paths[:3]:
        shutil.copy(path, copy)
    column = open_damaged(path).seal.columns["train"]["labels"]
    change_bytes(paths[0], *place_of(column, 3, 3), flip_a_bit)
    paths[1].write_bytes(path.read_bytes()[:20_000])
    paths[2].write_text("hello")

    parents = find_caches(create_spec(), [*paths, path], max_pixels=MAX_PIXELS)

    assert [parent.path for parent in parents] == [path]


def test_a_cache_that_is_not_wanted_is_not_read(path, tmp_path):
    """Its spec says so before its rows are: damage there goes unnoticed."""
    damaged = tmp_path / "damaged.h5"
    shutil.copy(path, damaged)
    column = open_damaged(damaged).seal.columns["train"]["labels"]
    change_bytes(damaged, *place_of(column, 3, 3), flip_a_bit)
    asked = []

    def is_wanted(cache):
        asked.append(cache.path)
        return cache.path == path

    found = find_caches(
        create_spec(),
        [damaged, path],
        max_pixels=MAX_PIXELS,
        is_wanted=is_wanted,
    )

    assert asked == [damaged, path]
    assert [parent.path for parent in found] == [path]


def test_a_build_is_found_once(tmp_path, monkeypatch):
    """By whatever names its folder is reached; nobody finds his own."""
    blocks_dir = tmp_path / "there" / "other.blocks"
    blocks_dir.mkdir(parents=True)
    (blocks_dir / SPEC).write_text(create_spec(600).to_json())
    monkeypatch.chdir(tmp_path)
    folders = [Path("there"), tmp_path / "there"]

    found = find_builds(create_spec(), folders, besides=tmp_path / "own")
    besides = find_builds(create_spec(), folders, besides=blocks_dir)

    assert [parent.path for parent in found] == [Path("there/other.blocks")]
    assert besides == []


def test_builds_of_equal_vectors_are_found(tmp_path):
    """Those of another spec, without one and of whoever asks are not."""
    build_dir = tmp_path / "other.h5.building"
    build_dir.mkdir()
    (build_dir / SPEC).write_text(create_spec(600).to_json())
    other_dir = tmp_path / "foreign.h5.building"
    other_dir.mkdir()
    other = create_spec(backbone="keras:Other")
    (other_dir / SPEC).write_text(other.to_json())
    (tmp_path / "empty.h5.building").mkdir()
    own_dir = tmp_path / "own.h5.building"

    found = find_builds(create_spec(), [tmp_path], besides=own_dir)
    besides = find_builds(create_spec(), [tmp_path], besides=build_dir)

    assert [parent.path for parent in found] == [build_dir]
    assert besides == []
