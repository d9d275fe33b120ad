"""Tests for `embed.extract`: caches whose features are in several files."""

import os

import pytest

from embed.console import Console
from embed.errors import StorageError
from embed.memory import format_size
from embed.storage.part_folders import find_folder
from embed.storage.parts import DEFAULT_MAX_FILE_BYTES
from embed.upkeep.repair import repair_cache
from embed.upkeep.verify import verify_cache
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import change_bytes
from tests.drawn_caches import files_in
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import read_datasets

QUIET = Console(is_quiet=True)
PART_NAMES = [
    *("test-00000.h5", "test-00001.h5", "train-00000.h5", "train-00001.h5")
]


@pytest.fixture(name="path")
def _path(build, digits_source):
    """The cache of 300 digits a split: two parts each."""
    return build(source=digits_source, max_file_bytes=PART_BYTES).cache.path


@pytest.fixture(name="folder")
def _folder(path):
    return find_folder(path)


@pytest.fixture(name="datasets")
def _datasets(path):
    """What HDF5 reads of it."""
    return read_datasets(path)


def verify(path, num_sampled=0):
    """Verifies with fewer words."""
    return verify_cache(path, num_sampled=num_sampled, console=QUIET)


def damage_row(folder, name):
    """Flips a bit in the last row of a part."""
    size = (folder / name).stat().st_size
    change_bytes(folder / name, size - 32, size, flip_a_bit)


def test_parts_are_what_a_single_file_is(
    build, digits_source, path, datasets, tmp_path
):
    """The same datasets of the same pictures, computed once more."""
    single = build(
        source=digits_source,
        cache_path=tmp_path / "elsewhere" / "single.h5",
        is_overwrite=True,
    )

    assert files_in(find_folder(path)) == PART_NAMES
    assert find_folder(single.cache.path) is None
    assert single.num_computed == 2 * 600
    assert_equal_datasets(read_datasets(single.cache.path), datasets)


def test_another_layout_takes_all_rows_over(
    build, digits_source, path, datasets, tmp_path
):
    """Parts of a cache become one file, and a file parts, for no view."""
    single = build(source=digits_source, cache_path=path.with_name("single.h5"))
    parts = build(
        source=digits_source,
        cache_path=path.with_name("parts.h5"),
        max_file_bytes=PART_BYTES,
    )

    assert (single.num_computed, parts.num_computed) == (0, 0)
    for cache in (single.cache, parts.cache):
        assert_equal_datasets(read_datasets(cache.path), datasets)
    assert find_folder(parts.cache.path).name == "parts.h5.parts"


def test_a_cache_that_is_there_serves_whatever_its_layout(
    build, digits_source, path
):
    """It is not written anew for a file size."""
    again = build(source=digits_source)

    assert (again.cache.path, again.num_computed) == (path, 0)
    assert find_folder(path) is not None


@pytest.mark.parametrize(
    ("was", "asked", "is_told"),
    [
        (DEFAULT_MAX_FILE_BYTES, PART_BYTES, True),
        (PART_BYTES, 2 * PART_BYTES, True),
        (PART_BYTES, PART_BYTES, False),
        (PART_BYTES, DEFAULT_MAX_FILE_BYTES, False),
        (DEFAULT_MAX_FILE_BYTES, 10**9, False),
    ],
    ids=["a file", "other parts", "as they are", "not asked", "short enough"],
)
def test_a_layout_that_is_not_made_is_told(
    build, digits_source, capsys, was, asked, is_told
):
    """With how to get it, where another than the one there is asked for."""
    build(source=digits_source, max_file_bytes=was)

    again = build(source=digits_source, max_file_bytes=asked, console=Console())

    said = capsys.readouterr().err
    assert again.num_computed == 0
    assert ("`--cache PATH`, a new name beside it" in said) == is_told
    assert (f"files of up to {format_size(asked)}" in said) == is_told


def test_damaged_rows_of_a_parent_are_computed_again(
    build, digits_source, path, folder, datasets
):
    """And the others taken over."""
    damage_row(folder, "train-00000.h5")

    result = build(source=digits_source, cache_path=path.with_name("other.h5"))

    assert result.num_computed == 2
    assert_equal_datasets(read_datasets(result.cache.path), datasets)


def test_files_too_small_for_a_block_are_refused(
    build, digits_source, caches_dir
):
    """Before a view is computed, with the size that would do."""
    with pytest.raises(StorageError, match="--max-file-size 16384"):
        build(source=digits_source, max_file_bytes=1000)

    assert files_in(caches_dir) == []


@pytest.mark.parametrize("is_there", [True, False])
def test_parts_that_a_kill_left_go(
    build, digits_source, path, folder, is_there
):
    """With the next build, whether it finds its cache or makes it."""
    leftover = path.with_name(f"{path.name}.parts-2")
    leftover.mkdir()
    (leftover / "train-00000.h5").write_bytes(b"half")

    build(
        source=digits_source,
        is_overwrite=not is_there,
        max_file_bytes=PART_BYTES,
    )

    names = [path.name, f"{path.name}.stamps", find_folder(path).name]
    assert files_in(path.parent) == sorted(names)


def test_a_repair_restores_rows_and_parts(path, folder, datasets):
    """Those alone are computed; the layout stays what it was."""
    damage_row(folder, "test-00000.h5")
    (folder / "train-00001.h5").unlink()

    done = repair_cache(verify(path), console=QUIET)

    assert (done.num_rows, done.num_computed) == (45, 90)
    assert done.num_identical == 45
    assert verify(path, num_sampled=8).is_ok
    assert_equal_datasets(read_datasets(path), datasets)
    assert files_in(find_folder(path)) == PART_NAMES
    assert not folder.exists()


def test_a_folder_of_parts_that_is_gone_is_restored(path, folder, datasets):
    """All rows are computed again, and are what was written first."""
    folder.rename(folder.with_name("hidden"))

    done = repair_cache(verify(path), console=QUIET)

    assert done.num_identical == done.num_rows == 600
    assert_equal_datasets(read_datasets(path), datasets)


def test_a_damaged_structure_is_restored_without_a_view(path, folder):
    """Rows are read at their places, whatever HDF5 would say."""
    change_bytes(folder / "train-00000.h5", 0, 100, flip_a_bit)

    done = repair_cache(verify(path), console=QUIET)

    assert (done.num_rows, done.num_computed) == (0, 0)
    assert verify(path).is_ok


def test_a_repair_keeps_a_single_file_one(build, digits_source, tmp_path):
    """However long it is."""
    path = build(source=digits_source).cache.path
    change_bytes(path, 0, 200, flip_a_bit)

    repair_cache(verify(path), console=QUIET)

    assert find_folder(path) is None


def test_the_command_says_where_the_parts_are(run_command, path, tmp_path):
    """`info`, `list`, `verify` and `prune` go by all files of a cache."""
    folder = find_folder(path)
    sizes = [os.path.getsize(folder / name) for name in PART_NAMES]

    info = run_command("info")
    verified = run_command("verify", "--sample", "0")
    (folder / PART_NAMES[0]).unlink()
    refused = run_command("verify", "--sample", "0")

    assert "num_files: 5" in info.stdout
    assert f"num_bytes: {path.stat().st_size + sum(sizes)}" in info.stdout
    assert verified.stdout.startswith("Good: every byte of 600 rows")
    assert refused.returncode == 1
    assert "test-00000.h5 is missing" in refused.stdout
    assert "test block 0 (rows 0 to 255)" in refused.stdout


def test_no_size_is_a_wrong_usage(run_command):
    """What was typed is said, and what a size looks like."""
    done = run_command("build-cache", "--max-file-size", "much")

    assert done.returncode == 2
    assert "500M" in done.stderr
