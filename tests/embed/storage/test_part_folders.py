"""Tests for `embed.storage.part_folders`."""

import shutil
from pathlib import Path

import pytest

from embed.storage.part_folders import find_folder
from embed.storage.part_folders import find_leftovers
from embed.storage.part_folders import free_folder
from embed.storage.part_folders import measure_cache
from embed.storage.part_folders import remove_folder
from embed.storage.part_folders import remove_leftovers_of
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import change_bytes
from tests.drawn_caches import files_in
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import write_drawn_cache


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache in parts."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path, max_file_bytes=PART_BYTES)
    return path


def leave(path, name):
    """Leaves a folder with the part of a build that was killed."""
    folder = path.with_name(name)
    folder.mkdir()
    (folder / "train-00000.h5").write_bytes(b"half")
    return folder


def test_the_name_of_a_folder_is_free(path):
    """Whatever lies there, a broken link too."""
    path.with_name("cache.h5.parts-2").symlink_to("nowhere")

    assert free_folder(path).name == "cache.h5.parts-3"
    assert free_folder(path.with_name("b.h5")).name == "b.h5.parts"


def test_folders_that_no_cache_refers_to_are_found(path):
    """Those of one cache, or of all."""
    mine = leave(path, "cache.h5.parts-2")
    other = leave(path, "gone.h5.parts")
    leave(path, "no parts")

    assert find_leftovers(path.parent) == [mine, other]
    assert find_leftovers(path.parent, of="cache.h5") == [mine]
    assert find_leftovers(path.parent, besides=[path]) == [
        path.with_name("cache.h5.parts"),
        *(mine, other),
    ]


def test_folders_of_other_programs_are_not_found(path):
    """Where all are looked for; whoever has a cache of that name knows."""
    data = leave(path, "mydata.parts")

    assert find_leftovers(path.parent) == []
    assert find_leftovers(path.parent, of="mydata") == [data]


@pytest.mark.parametrize("is_linked", [False, True])
def test_folders_are_found_from_any_place(path, monkeypatch, is_linked):
    """Where caches lie may be said from here, or by a link."""
    monkeypatch.chdir(path.parent.parent)
    folder = Path(path.parent.name)
    if is_linked:
        link = Path(f"{folder}-link")
        link.symlink_to(folder)
        folder = link
    leave(path, "cache.h5.parts-2")

    assert find_leftovers(folder) == [folder / "cache.h5.parts-2"]
    remove_leftovers_of(folder / path.name)
    assert files_in(path.parent) == ["cache.h5", "cache.h5.parts"]


def test_a_cache_that_was_renamed_keeps_its_parts(path):
    """What its seal says counts, not how it is called."""
    renamed = path.rename(path.with_name("renamed.h5"))
    write_drawn_cache(path, max_file_bytes=PART_BYTES)

    remove_leftovers_of(path)

    assert find_folder(renamed).name == "cache.h5.parts"
    assert find_folder(path).name == "cache.h5.parts-2"
    assert find_leftovers(path.parent) == []


def test_a_file_that_says_nothing_keeps_the_parts_of_its_name(path):
    """Both seals may be damaged, and the rows be all right."""
    size = path.stat().st_size
    change_bytes(path, 0, 200, flip_a_bit)
    change_bytes(path, size - 200, size, flip_a_bit)

    assert find_leftovers(path.parent) == []
    path.unlink()
    assert find_leftovers(path.parent) == [path.with_name("cache.h5.parts")]


def test_nobody_elses_file_is_removed(path):
    """A folder that is called like one of parts may be anybody's."""
    folder = leave(path, "cache.h5.parts-2")
    for name in ("notes.txt", "shard-00001.h5", "unlabelled-00001.h5"):
        (folder / name).touch()

    remove_leftovers_of(path)

    assert files_in(folder) == ["notes.txt", "shard-00001.h5"]
    remove_folder(path.with_name("not there"))


def test_the_size_of_a_cache_is_that_of_all_its_files(path):
    """What is no cache counts as far as it is there."""
    parts = path.with_name("cache.h5.parts").iterdir()
    sizes = [file.stat().st_size for file in (path, *parts)]

    assert measure_cache(path) == sum(sizes)
    shutil.rmtree(path.with_name("cache.h5.parts"))
    assert measure_cache(path) == path.stat().st_size
    assert measure_cache(path.with_name("gone")) == 0
