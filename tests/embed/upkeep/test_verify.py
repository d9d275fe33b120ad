"""Tests for `embed.upkeep.verify`."""

import os
import shutil

import numpy as np
import pytest

import embed.upkeep.verify
from embed.cache import open_cache
from embed.cache import open_damaged
from embed.console import Console
from embed.errors import CorruptCacheError
from embed.errors import MissingArtifactError
from embed.sources import SourceRequest
from embed.splits import Selection
from embed.storage.writer import write_cache
from embed.upkeep.verify import FOREIGN
from embed.upkeep.verify import OTHER_BYTES
from embed.upkeep.verify import verify_cache
from tests.drawn_caches import COLUMNS
from tests.drawn_caches import as_content
from tests.drawn_caches import change_bytes
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of
from tests.drawn_caches import write_drawn_cache

STRIDE = 7  # Of the bytes that are flipped one at a time.
QUIET = Console(is_quiet=True)


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of 600 training and 4 test rows, of pictures that are gone."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path, num_train=600)
    return path


def verify(path, num_sampled=0):
    """Verifies with fewer words."""
    return verify_cache(path, num_sampled=num_sampled, console=QUIET)


def change_rows(path, name, first, last, split="train"):
    """Flips a bit in the middle of some rows of a column."""
    column = open_damaged(path).seal.columns[split][name]
    change_bytes(path, *place_of(column, first, last), flip_a_bit)


def forge(cache, rows_of):
    """Writes other features under the right digests of everything."""
    splits = {}
    for split in cache.num_images:
        ((_, stored),) = cache.read_rows(
            split, np.arange(cache.num_images[split])
        )
        splits[split] = as_content(rows_of(split, stored))
    write_cache(
        cache.path,
        spec=cache.spec,
        provenance=cache.provenance,
        feature_dim=cache.feature_dim,
        splits=splits,
    )


def test_a_whole_cache_is_good(tiny_cache):
    """Every row is read, and pictures are recomputed from both splits."""
    found = verify(tiny_cache.path, num_sampled=5)

    assert found.is_ok
    assert (found.num_rows, found.num_recomputed) == (42, 10)
    assert (found.faults, found.bad_blocks, found.remark) == ((), (), "")
    found.require_ok()


def test_a_large_sample_is_recomputed_piece_by_piece(tiny_cache, monkeypatch):
    """To the same end; one forged row is found in whichever piece it is."""
    monkeypatch.setattr(embed.upkeep.verify, "NUM_AT_ONCE", 4)

    def change(split, stored):
        if split == "train":
            stored.features[17] += 1
        return stored

    whole = verify(tiny_cache.path, num_sampled=42)
    forge(tiny_cache, change)
    forged = verify(tiny_cache.path, num_sampled=42)

    assert (whole.num_recomputed, whole.is_ok) == (42, True)
    assert [block.rows for block in forged.bad_blocks] == [(17,)]


def test_no_more_pictures_are_recomputed_than_there_are(tiny_cache):
    """A large sample is all of a small cache."""
    assert verify(tiny_cache.path, num_sampled=10**6).num_recomputed == 42


def test_no_sample_reads_no_picture(tiny_cache, picture_folder):
    """Bytes can be checked without the pictures, and without a remark."""
    shutil.rmtree(picture_folder)

    found = verify(tiny_cache.path)

    assert found.is_ok
    assert (found.num_recomputed, found.remark) == (0, "")


@pytest.mark.parametrize("name", COLUMNS)
def test_bad_rows_are_named_by_block(path, name):
    """Split, block, rows and reason, for people and programs."""
    for row in (3, 300, 511, 599):
        change_rows(path, name, row, row)
    change_rows(path, name, 2, 2, split="test")

    found = verify(path)

    assert not found.is_ok
    assert [(b.split, b.block, b.rows) for b in found.bad_blocks] == [
        ("train", 0, (3,)),
        ("train", 1, (300, 511)),
        ("train", 2, (599,)),
        ("test", 0, (2,)),
    ]
    assert {block.reason for block in found.bad_blocks} == {OTHER_BYTES}
    assert found.faults == ()
    assert np.flatnonzero(~found.is_good("train")).tolist() == [
        3,
        300,
        511,
        599,
    ]
    assert (
        found.bad_blocks[1].describe()
        == "train block 1 (rows 256 to 511): other bytes than were written in "
        "2 rows, row 300 the first"
    )
    with pytest.raises(CorruptCacheError, match=r"train block 0 .*--repair"):
        found.require_ok()


def test_every_damaged_byte_is_found(tmp_path):
    """Any byte of the file, wherever it lies, and one place is told."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path, num_train=5, num_test=2)

    for position in range(0, path.stat().st_size, STRIDE):
        change_bytes(path, position, position + 1, flip_a_bit)
        found = verify(path)
        change_bytes(path, position, position + 1, flip_a_bit)

        assert len(found.faults) + len(found.bad_blocks) == 1

    assert verify(path).is_ok


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_cache_says_what_is_left(path, share):
    """Rows that lie before the cut are good, and all others are named."""
    seal = open_cache(path).seal
    stop = int(share * seal.body_stop)
    os.truncate(path, stop)

    found = verify(path)

    seal_fault, body_fault = found.faults
    assert seal_fault == "the seal at its end"
    assert body_fault == f"{stop:,} of {seal.body_stop:,} bytes"
    for split, columns in seal.columns.items():
        expected = [
            all(place_of(c, row, row)[1] <= stop for c in columns.values())
            for row in range(found.cache.num_images[split])
        ]
        assert found.is_good(split).tolist() == expected


def test_swapped_rows_are_bad(path):
    """A row in another's place is not what was written there."""
    data = path.read_bytes()
    for name in COLUMNS:
        column = open_damaged(path).seal.columns["train"][name]
        first, second = (place_of(column, row, row) for row in (3, 4))
        held = data[slice(*first)], data[slice(*second)]
        change_bytes(path, *first, lambda _, held=held: held[1])
        change_bytes(path, *second, lambda _, held=held: held[0])

    (block,) = verify(path).bad_blocks

    assert block.rows == (3, 4)


def test_wrong_features_under_right_digests_are_found(tiny_cache):
    """What the backbone does not answer is bad, whatever its digest says."""

    def change_one(split, stored):
        if split == "test":
            stored.features[5, 1, 2] += 0.01
        return stored

    forge(tiny_cache, change_one)

    found = verify(tiny_cache.path, num_sampled=12)

    (block,) = found.bad_blocks
    assert (block.split, block.rows, block.reason) == ("test", (5,), FOREIGN)
    assert found.faults == ()


def test_features_of_other_pictures_are_found_by_a_small_sample(tiny_cache):
    """Rows that are mixed up are all bad: three of them show it."""

    def roll(split, stored):
        stored.features[:] = np.roll(stored.features, 1, axis=0)
        return stored

    forge(tiny_cache, roll)

    found = verify(tiny_cache.path, num_sampled=3)

    assert {block.reason for block in found.bad_blocks} == {FOREIGN}
    assert sum(len(block.rows) for block in found.bad_blocks) == 6


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_stored_precision_is_allowed_for(build, dtype):
    """What rounding took away is no damage."""
    cache = build(dtype=dtype).cache

    assert verify(cache.path, num_sampled=100).is_ok


def test_pictures_that_are_gone_are_a_remark(tiny_cache, picture_folder):
    """Bytes can be checked without them; that no row was is said."""
    shutil.rmtree(picture_folder)

    found = verify(tiny_cache.path, num_sampled=5)

    assert found.is_ok
    assert found.num_recomputed == 0
    assert found.remark.startswith("No row was recomputed: There is no folder")


def test_pictures_that_changed_are_a_remark(tiny_cache, picture_folder):
    """They say nothing about a cache of what they were."""
    for path in picture_folder.glob("test/*/*"):
        path.write_bytes(path.read_bytes() + b"x")

    found = verify(tiny_cache.path, num_sampled=5)

    assert found.is_ok
    assert found.num_recomputed == 5  # Of train.
    assert found.remark.startswith("Of the sampled pictures 5 were not")


@pytest.mark.parametrize("is_removed", [False, True])
def test_wrong_features_beside_a_changed_picture_are_found(
    tiny_cache, picture_folder, is_removed
):
    """One that is gone costs its own comparison, and no other."""

    def roll(split, stored):
        stored.features[:] = np.roll(stored.features, 1, axis=0)
        return stored

    forge(tiny_cache, roll)
    path = picture_folder / "test" / "dog" / "01.png"
    path.write_bytes(path.read_bytes() + b"x")
    if is_removed:
        path.unlink()

    found = verify(tiny_cache.path, num_sampled=12)

    row = tiny_cache.image_ids("test").index("dog/01.png")
    of_train, of_test = found.bad_blocks
    assert (of_train.reason, of_test.reason) == (FOREIGN, FOREIGN)
    assert of_test.rows == tuple(np.delete(np.arange(12), row).tolist())
    assert (len(of_train.rows), found.num_recomputed) == (12, 23)
    assert found.remark.startswith("Of the sampled pictures 1 were not")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_found(tiny_cache, value):
    """No difference to them is small; their digests are right."""

    def change_one(split, stored):
        if split == "test":
            stored.features[5, 1, 2] = value
        return stored

    forge(tiny_cache, change_one)

    found = verify(tiny_cache.path, num_sampled=12)

    (block,) = found.bad_blocks
    assert (block.split, block.rows, block.reason) == ("test", (5,), FOREIGN)


def test_damaged_bytes_are_not_recomputed(tiny_cache):
    """What is known to be bad needs no backbone to say so."""
    change_rows(tiny_cache.path, "features", 3, 3)

    found = verify(tiny_cache.path, num_sampled=5)

    assert found.num_recomputed == 0
    assert [block.reason for block in found.bad_blocks] == [OTHER_BYTES]


def test_verifying_changes_nothing(tiny_cache):
    """The file, its time and what lies beside it stay as they are."""
    folder = tiny_cache.path.parent
    before = {p.name: (p.stat(), p.read_bytes()) for p in folder.iterdir()}

    verify(tiny_cache.path, num_sampled=5)

    for path in folder.iterdir():
        facts, data = before[path.name]
        assert path.stat().st_mtime_ns == facts.st_mtime_ns
        assert path.read_bytes() == data


def test_progress_adds_up_to_all_rows(path, capsys):
    """A line every tenth, and the last when all is read."""
    verify_cache(path, num_sampled=0, console=Console())

    assert "Verifying: 604 of 604 rows (100%)" in capsys.readouterr().err


def test_what_is_no_cache(tmp_path):
    """Nothing there, and nothing left of it, are two errors."""
    with pytest.raises(MissingArtifactError, match="build-cache"):
        verify(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        verify(tmp_path / "text.h5")


def test_a_limited_source_is_sampled(build, digits_source):
    """A cache of some pictures finds those very pictures again."""
    cache = build(source=digits_source).cache

    found = verify(cache.path, num_sampled=4)

    assert isinstance(cache.provenance.source, SourceRequest)
    assert (found.is_ok, found.num_recomputed) == (True, 8)
    assert len(cache.take(Selection("test"))) == 300
