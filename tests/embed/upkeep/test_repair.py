"""Tests for `embed.upkeep.repair`."""

import dataclasses
import os
import shutil

import h5py
import numpy as np
import pytest

import embed.building.stamps
from embed.backbones import BackboneRequest
from embed.building.lock import lock_build
from embed.cache import open_cache
from embed.cache import open_damaged
from embed.console import Console
from embed.engines import ENGINES
from embed.errors import BusyCacheError
from embed.errors import CorruptCacheError
from embed.errors import SourceError
from embed.errors import StaleCacheError
from embed.extract import build_cache
from embed.storage.writer import write_cache
from embed.upkeep.repair import repair_cache
from embed.upkeep.verify import verify_cache
from tests.drawn_caches import COLUMNS
from tests.drawn_caches import as_content
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import change_bytes
from tests.drawn_caches import files_in
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of
from tests.drawn_caches import read_datasets
from tests.stopping_console import StoppingConsole

QUIET = Console(is_quiet=True)


@pytest.fixture(name="path")
def _path(tiny_cache):
    """The cache of the drawn pictures."""
    return tiny_cache.path


@pytest.fixture(name="datasets")
def _datasets(path):
    """What every column of it held before it was damaged."""
    return read_datasets(path)


def verify(path, num_sampled=0):
    """Verifies with fewer words."""
    return verify_cache(path, num_sampled=num_sampled, console=QUIET)


def repair(path):
    """Verifies and repairs."""
    return repair_cache(verify(path), console=QUIET)


def change_rows(path, name, first, last, split="train"):
    """Flips a bit in the middle of some rows of a column."""
    column = open_damaged(path).seal.columns[split][name]
    change_bytes(path, *place_of(column, first, last), flip_a_bit)


@pytest.mark.parametrize("name", COLUMNS)
def test_bad_rows_are_restored_bit_by_bit(path, datasets, name):
    """Those alone are computed, and what is told is what was done."""
    for row in (3, 7):
        change_rows(path, name, row, row)

    done = repair(path)

    num_identical = 0 if name == "row_digests" else 2
    assert (done.num_rows, done.num_computed) == (2, 4)
    assert done.num_identical == num_identical
    assert verify(path, num_sampled=42).is_ok
    assert_equal_datasets(read_datasets(path), datasets)
    assert files_in(path.parent) == [path.name, f"{path.name}.stamps"]


def test_a_split_of_which_nothing_is_left_is_restored(path, datasets):
    """A whole column of zeros in one split, and the other is untouched."""
    column = open_cache(path).seal.columns["test"]["image_ids"]
    start, stop = place_of(column, 0, 11)
    change_bytes(path, start, stop, lambda data: bytes(len(data)))

    done = repair(path)

    assert (done.num_rows, done.num_identical, done.num_computed) == (
        12,
        12,
        24,
    )
    assert_equal_datasets(read_datasets(path), datasets)


def test_an_engine_that_is_gone_is_replaced(
    tiny_request, tmp_path, monkeypatch
):
    """What another machine has computed is mended on one without its engine."""
    pytest.importorskip(ENGINES["litert"])
    path = build_cache(
        dataclasses.replace(tiny_request, engine="litert"),
        artifacts_dir=tmp_path / "artifacts",
    ).cache.path
    features = read_datasets(path)["train/features"]
    change_rows(path, "features", 3, 3)
    monkeypatch.setitem(ENGINES, "litert", "no_such_package")

    done = repair(path)

    assert done.num_computed == 2
    assert open_cache(path).provenance.engine in ENGINES.keys() - {"litert"}
    np.testing.assert_allclose(
        read_datasets(path)["train/features"], features, atol=1e-6
    )


@pytest.mark.parametrize("place", ["start", "end"])
def test_a_damaged_seal_is_restored_without_a_view(path, datasets, place):
    """The other copy says all that is needed."""
    size = path.stat().st_size
    where = {"start": (0, 200), "end": (size - 200, size)}[place]
    change_bytes(path, *where, flip_a_bit)

    done = repair(path)

    assert (done.num_rows, done.num_identical, done.num_computed) == (0, 0, 0)
    assert verify(path).is_ok
    assert_equal_datasets(read_datasets(path), datasets)


def test_a_damaged_structure_is_restored_without_a_view(path, datasets):
    """Rows are read at their places, whatever HDF5 would say."""
    first = min(
        column.offset
        for of_split in open_cache(path).seal.columns.values()
        for column in of_split.values()
    )
    start = first - 2000
    change_bytes(path, start, first, lambda data: bytes(len(data)))
    assert verify(path).faults == ("another HDF5 structure than was written",)

    done = repair(path)

    assert done.num_computed == 0
    assert verify(path).is_ok
    assert_equal_datasets(read_datasets(path), datasets)


def test_a_cache_changed_through_hdf5_is_restored(path, datasets):
    """Rows and structure, and the seal that HDF5 cuts off."""
    with h5py.File(path, "r+") as file:
        file["train/labels"][4] = 2
        file.attrs["note"] = "I was here"

    done = repair(path)

    assert (done.num_rows, done.num_computed) == (1, 2)
    assert verify(path, num_sampled=42).is_ok
    assert_equal_datasets(read_datasets(path), datasets)
    with h5py.File(path) as file:
        assert "note" not in file.attrs


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_a_truncated_cache_is_restored(path, datasets, share):
    """As many rows are computed as lay behind the cut."""
    os.truncate(path, int(share * open_cache(path).seal.body_stop))
    num_bad = sum(len(block.rows) for block in verify(path).bad_blocks)

    done = repair(path)

    assert (done.num_rows, done.num_computed) == (num_bad, 2 * num_bad)
    assert verify(path, num_sampled=42).is_ok
    assert_equal_datasets(read_datasets(path), datasets)


def test_a_whole_cache_is_written_anew(path, datasets):
    """Nothing to repair is no error, and computes nothing."""
    done = repair(path)

    assert (done.num_rows, done.num_identical, done.num_computed) == (0, 0, 0)
    assert_equal_datasets(read_datasets(path), datasets)


def test_a_cache_that_skipped_is_restored(build, picture_folder):
    """Rows that were left out stay out, and the others are aligned."""
    (picture_folder / "train" / "cat" / "02.jpg").write_text("a text file")
    cache = build(on_error="skip").cache
    datasets = read_datasets(cache.path)
    change_rows(cache.path, "features", 3, 3)

    done = repair(cache.path)

    mended = open_cache(cache.path)
    assert (done.num_rows, done.num_identical) == (1, 1)
    assert_equal_datasets(read_datasets(cache.path), datasets)
    assert mended.provenance.skipped == cache.provenance.skipped


def test_provenance_tells_of_the_repair(path, tiny_cache):
    """Its parent is what it was, and the spec is the same."""
    change_rows(path, "features", 3, 3)

    repair(path)

    mended = open_cache(path)
    (attempt,) = mended.provenance.attempts
    assert mended.provenance.parents == (path.name,)
    assert mended.provenance.source == tiny_cache.provenance.source
    assert mended.spec == tiny_cache.spec
    assert attempt.num_views == 2


def test_a_source_with_other_pictures_is_refused(path, picture_folder):
    """The field is named; the advice takes over what is equal and whole."""
    (picture_folder / "train" / "cat" / "02.jpg").unlink()
    change_rows(path, "features", 3, 3)
    before = path.read_bytes()

    with pytest.raises(
        StaleCacheError,
        match=r"Expected: .*num_images=30.*Received: .*num_images=29.*"
        r"build a new cache with `python -m embed build-cache`",
    ):
        repair(path)

    assert path.read_bytes() == before


def test_other_weights_are_refused(build, tiny_module_dir, tmp_path):
    """A backbone that changed since cannot answer the same features."""
    module_dir = tmp_path / "module"
    shutil.copytree(tiny_module_dir, module_dir)
    cache = build(
        backbone=BackboneRequest(handle=f"hub:{module_dir}", image_size=(8, 8))
    ).cache
    change_rows(cache.path, "features", 3, 3)
    (module_dir / "assets").mkdir(exist_ok=True)
    (module_dir / "assets" / "vocabulary.txt").write_text("another")

    with pytest.raises(StaleCacheError, match="Expected: weights_digest="):
        repair(cache.path)


def test_pictures_that_are_gone_are_an_error(path, picture_folder):
    """Bad rows cannot be computed without them; the file stays."""
    change_rows(path, "features", 3, 3)
    before = path.read_bytes()
    shutil.rmtree(picture_folder)

    with pytest.raises(SourceError, match="There is no folder"):
        repair(path)

    assert path.read_bytes() == before


def test_wrong_features_under_right_digests_are_refused(path, tiny_cache):
    """Where the backbone never answered that, no other row is trusted."""
    splits = {}
    for split, count in tiny_cache.num_images.items():
        ((_, stored),) = tiny_cache.read_rows(split, np.arange(count))
        stored.features[:] += 1
        splits[split] = as_content(stored)
    write_cache(
        path,
        spec=tiny_cache.spec,
        provenance=tiny_cache.provenance,
        feature_dim=tiny_cache.feature_dim,
        splits=splits,
    )
    found = verify(path, num_sampled=5)

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite`"):
        repair_cache(found, console=QUIET)


def test_a_cache_that_is_being_built_is_not_repaired(path):
    """One writer at a time; the file stays as it is."""
    change_rows(path, "features", 3, 3)
    before = path.read_bytes()

    with (
        lock_build(path, is_waiting=False, console=QUIET),
        pytest.raises(BusyCacheError, match="is being built by process"),
    ):
        repair(path)

    assert path.read_bytes() == before


def test_a_replaced_picture_is_computed_as_it_is(path, picture_folder):
    """A row of bytes that are gone cannot be had; it is not identical."""
    change_rows(path, "features", 3, 3)
    cats = picture_folder / "train" / "cat"
    (cats / "03.png").write_bytes((cats / "05.png").read_bytes())

    done = repair(path)

    features = read_datasets(path)["train/features"]
    assert (done.num_rows, done.num_identical) == (1, 0)
    np.testing.assert_array_equal(features[3], features[5])
    assert verify(path, num_sampled=42).is_ok


def test_a_picture_replaced_before_a_repair_is_computed_by_the_next_build(
    build, path, picture_folder, monkeypatch
):
    """The repair has not read it, and vouches for nothing."""
    monkeypatch.setattr(embed.building.stamps, "RACY_NANOSECONDS", 0)
    cats = picture_folder / "train" / "cat"
    (cats / "03.png").write_bytes((cats / "05.png").read_bytes())
    change_rows(path, "features", 7, 7)

    repair(path)

    assert build().num_computed == 2
    features = read_datasets(path)["train/features"]
    np.testing.assert_array_equal(features[3], features[5])
    assert build().num_computed == 0


def test_a_cache_that_was_replaced_since_is_left(build, path):
    """What was found is of a file that is no more."""
    change_rows(path, "features", 3, 3)
    found = verify(path)
    build(is_overwrite=True)
    before = path.read_bytes()

    with pytest.raises(StaleCacheError, match=r"was replaced.*embed verify"):
        repair_cache(found, console=QUIET)

    assert path.read_bytes() == before


def test_blocks_of_another_spec_are_not_taken_for_its_rows(
    build, path, datasets
):
    """An overwrite that was cut off leaves blocks of other vectors there."""
    with pytest.raises(KeyboardInterrupt):  # After the training rows.
        build(
            cache_path=path,
            dtype="float16",
            is_overwrite=True,
            console=StoppingConsole(80),
        )
    change_rows(path, "features", 3, 3)

    done = repair(path)

    assert (done.num_rows, done.num_identical) == (1, 1)
    assert_equal_datasets(read_datasets(path), datasets)


def test_blocks_elsewhere_are_named_before_they_are_forgotten(
    build, path, tmp_path, capsys
):
    """A repair takes the place of the overwrite that was cut off."""
    shared = tmp_path / "shared"
    with pytest.raises(KeyboardInterrupt):
        build(
            cache_path=path,
            blocks=str(shared),
            is_overwrite=True,
            console=StoppingConsole(40),
        )
    (blocks_dir,) = shared.iterdir()
    change_rows(path, "features", 3, 3)

    repair_cache(verify(path), console=Console())

    assert f"left in {blocks_dir} stay there" in capsys.readouterr().err
    assert blocks_dir.is_dir()
    assert verify(path).is_ok


def test_a_replaced_picture_changes_no_good_row(
    path, tiny_cache, datasets, picture_folder
):
    """Rows are mended, not brought up to date: that is a build's."""
    before = tiny_cache.pictures_digest()
    change_rows(path, "features", 3, 3)
    cats = picture_folder / "train" / "cat"
    (cats / "05.png").write_bytes((cats / "07.png").read_bytes())
    (cats / "06.jpg").write_bytes(b"a text file")

    done = repair(path)

    assert (done.num_rows, done.num_identical, done.num_computed) == (1, 1, 2)
    assert open_cache(path).pictures_digest() == before
    assert_equal_datasets(read_datasets(path), datasets)
