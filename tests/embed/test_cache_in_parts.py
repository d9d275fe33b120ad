"""Caches in parts: what a single file holds, in files beside it."""

import gc
import os
import resource
import shutil
import time

import h5py
import numpy as np
import pytest

from embed.building.lookup import find_caches
from embed.cache import open_cache
from embed.cache import open_damaged
from embed.console import Console
from embed.errors import CorruptCacheError
from embed.errors import MissingArtifactError
from embed.rows import INDEX_COLUMNS
from embed.splits import Selection
from embed.storage import part_files
from embed.upkeep.difference import compare_caches
from embed.upkeep.verify import verify_cache
from tests.drawn_caches import COLUMNS
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import change_bytes
from tests.drawn_caches import create_spec
from tests.drawn_caches import draw_rows
from tests.drawn_caches import files_in
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import read_datasets
from tests.drawn_caches import write_drawn_cache

NUM_TRAIN = 600  # Two blocks and a part of one.
PART_NAMES = [
    "test-00000.h5",
    "train-00000.h5",
    "train-00001.h5",
    "train-00002.h5",
]
ADVICE = r"embed verify .* --repair`.*build-cache --overwrite"
ROWS = [[1, 599], [], [599, 0, 0, 300, 7], list(range(0, 600, 3)), [256]]


@pytest.fixture(name="single")
def _single(tmp_path):
    """The same rows in one file."""
    path = tmp_path / "single" / "cache.h5"
    path.parent.mkdir()
    write_drawn_cache(path, num_train=NUM_TRAIN)
    return path


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of 600 training rows, three parts, and 4 test rows."""
    path = tmp_path / "here" / "cache.h5"
    path.parent.mkdir()
    write_drawn_cache(path, num_train=NUM_TRAIN, max_file_bytes=PART_BYTES)
    return path


@pytest.fixture(name="parts_dir")
def _parts_dir(path):
    return path.with_name("cache.h5.parts")


def change_row(parts_dir, path, number):
    """Flips a bit of a training row in its part."""
    column = open_damaged(path).seal.parted.columns["train"]
    part = column.parts[number // 256]
    row_bytes = column.column_of(part).row_bytes
    start = part.offset + number % 256 * row_bytes
    change_bytes(parts_dir / part.name, start, start + row_bytes, flip_a_bit)


def verify(path):
    """Verifies every byte of a cache."""
    return verify_cache(path, num_sampled=0, console=Console(is_quiet=True))


def test_layout_is_as_documented(path, parts_dir):
    """Plain HDF5 files, none too long, each with whole blocks of a split."""
    assert files_in(path.parent) == ["cache.h5", "cache.h5.parts"]
    assert files_in(parts_dir) == PART_NAMES

    lengths = [(parts_dir / name).stat().st_size for name in PART_NAMES]
    held = {}
    for name in PART_NAMES:
        with h5py.File(parts_dir / name) as file:
            assert list(file) == ["features"]
            assert file["features"].chunks is None  # Contiguous.
            assert bytes(file.attrs["fingerprint"]).decode() == (
                create_spec(NUM_TRAIN).fingerprint()
            )
            held[name] = (
                bytes(file.attrs["split"]),
                bytes(file.attrs["first_row"]),
                file["features"].shape,
            )
    with h5py.File(path) as file:
        is_virtual = [file["train"][name].is_virtual for name in COLUMNS]

    assert max(lengths) <= PART_BYTES
    assert held == {
        "test-00000.h5": (b"test", b"0", (4, 2, 4)),
        "train-00000.h5": (b"train", b"0", (256, 2, 4)),
        "train-00001.h5": (b"train", b"256", (256, 2, 4)),
        "train-00002.h5": (b"train", b"512", (88, 2, 4)),
    }
    assert is_virtual == [True] + [False] * 5


@pytest.mark.parametrize("is_moved", [False, True])
@pytest.mark.parametrize("name", ["cache.h5", "50% of été %b%%.h5"])
def test_hdf5_reads_what_it_reads_in_a_single_file(
    single, path, tmp_path, is_moved, name
):
    """Every dataset bit by bit, digests too, wherever the two were moved."""
    if name != path.name:
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        path = path.with_name(name)
        write_drawn_cache(path, num_train=NUM_TRAIN, max_file_bytes=PART_BYTES)
    if is_moved:
        moved = shutil.move(path.parent, tmp_path / "elsewhere")
        path = moved / path.name

    assert_equal_datasets(read_datasets(path), read_datasets(single))
    assert verify(path).is_ok


@pytest.mark.parametrize("rows", ROWS, ids=len)
@pytest.mark.parametrize("is_trusted", [False, True])
def test_our_reader_reads_what_it_reads_in_a_single_file(
    single, path, rows, is_trusted
):
    """In any order, across parts, checked or not."""
    selection = Selection("train", np.array(rows, int))
    expected = open_cache(single).take(selection)

    cache = open_cache(path)
    taken = cache.take(selection, is_trusted=is_trusted)

    np.testing.assert_array_equal(taken.features, expected.features)
    np.testing.assert_array_equal(taken.labels, expected.labels)
    assert taken.image_ids == expected.image_ids
    assert compare_caches(open_cache(single), cache).are_equal


def test_half_precision(tmp_path):
    """Parts hold what the spec says; heads see float32."""
    path = tmp_path / "half.h5"
    rows = write_drawn_cache(
        path, num_train=NUM_TRAIN, dtype="float16", max_file_bytes=PART_BYTES
    )["train"]

    for is_trusted in (False, True):
        taken = open_cache(path).take(Selection("train"), is_trusted=is_trusted)
        np.testing.assert_array_equal(taken.features, np.float32(rows.features))


def test_what_fits_is_the_file_it_always_was(tmp_path):
    """Bit by bit, and without a word of parts.

    HDF5 keeps the second in which a group was made.
    """
    one, other = tmp_path / "one.h5", tmp_path / "other.h5"
    began, ended = 0, 1
    while began != ended:
        began = int(time.time())
        write_drawn_cache(one)
        write_drawn_cache(other, max_file_bytes=10**6)
        ended = int(time.time())

    assert one.read_bytes() == other.read_bytes()
    assert b"parted" not in one.read_bytes()
    assert files_in(tmp_path) == ["one.h5", "other.h5"]


def test_a_link_to_the_cache_is_the_cache(path, tmp_path):
    """Parts lie beside the file, not beside a link to it."""
    link = tmp_path / "link.h5"
    link.symlink_to(path)

    rows = open_cache(link).take(Selection("train"))

    np.testing.assert_array_equal(rows.features, draw_rows(600).features)


@pytest.mark.parametrize("number", [0, 300, 599])
def test_a_damaged_row_is_found_and_its_part_named(path, parts_dir, number):
    """Where it is read, and by `verify`, which goes on with the others."""
    change_row(parts_dir, path, number)

    cache = open_cache(path)
    with pytest.raises(CorruptCacheError, match=ADVICE) as caught:
        cache.take(Selection("train"))
    found = verify(path)

    part = parts_dir / PART_NAMES[1 + number // 256]
    assert f"row {number} the first, in {part}." in str(caught.value)
    ((split, block, rows),) = [
        (b.split, b.block, b.rows) for b in found.bad_blocks
    ]
    assert (split, block, rows) == ("train", number // 256, (number,))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda part: part.unlink(), "is missing"),
        (lambda part: os.truncate(part, 5000), r"has 5,000 of 12,\d+ bytes"),
        (lambda part: os.truncate(part, 99_999), r"has 99,999 of 12,\d+"),
        (
            lambda part: change_bytes(part, 0, 100, flip_a_bit),
            "another HDF5 structure",
        ),
        (
            lambda part: shutil.copy(part.with_name("train-00000.h5"), part),
            "another HDF5 structure",
        ),
    ],
    ids=["missing", "truncated", "lengthened", "structure", "another"],
)
def test_a_part_that_is_not_what_was_written_is_named(
    path, parts_dir, damage, words
):
    """When the cache is opened: no hour of training before."""
    damage(parts_dir / "train-00001.h5")

    with pytest.raises(CorruptCacheError, match=ADVICE) as caught:
        open_cache(path)

    caught.match(rf"Received: the part .*/train-00001\.h5 .*{words}")


def test_a_missing_part_is_so_many_bad_blocks(path, parts_dir):
    """Others are read, and `verify` says which rows are lost."""
    (parts_dir / "train-00001.h5").unlink()

    found = verify(path)

    assert len(found.faults) == 1
    assert [(b.block, len(b.rows)) for b in found.bad_blocks] == [(1, 256)]
    assert found.is_good("train")[[255, 256, 511, 512]].tolist() == [
        *(True, False, False, True)
    ]


@pytest.mark.parametrize("name", [PART_NAMES[1], ""], ids=["part", "folder"])
def test_a_part_that_cannot_be_opened_spoils_its_cache_alone(
    path, parts_dir, name
):
    """It is named, and what goes through all caches goes on to the next."""
    write_drawn_cache(path.with_name("other.h5"))
    place = parts_dir / name
    place.rename(path.with_name("hidden"))
    place.symlink_to(place)  # Like one without permission, for root as well.

    with pytest.raises(
        MissingArtifactError, match="Make it readable"
    ) as caught:
        open_cache(path)
    found = find_caches(
        create_spec(), [path, path.with_name("other.h5")], max_pixels=10**6
    )

    assert str(place) in str(caught.value)
    assert [parent.cache.path.name for parent in found] == ["other.h5"]


def test_too_many_open_files_are_a_line(path):
    """With what may be done about it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()
    cache = open_damaged(path)
    first_free = os.dup(0)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        with pytest.raises(MissingArtifactError, match="ulimit -n") as caught:
            cache.body_faults()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    caught.match(r"The part .*\.h5 of a cache cannot be opened: Too many open")


def test_a_cache_that_was_moved_without_its_parts(path, parts_dir, tmp_path):
    """Which folder is missing is said."""
    moved = shutil.move(path, tmp_path / "cache.h5")

    with pytest.raises(CorruptCacheError, match=ADVICE) as caught:
        open_cache(moved)

    caught.match(r"no folder .*/cache\.h5\.parts with its parts")
    assert len(verify(moved).bad_blocks) == 4
    assert files_in(parts_dir) == PART_NAMES


def test_rows_that_were_checked_are_checked_again_in_a_part_that_changed(
    path, parts_dir
):
    """Nothing is trusted that somebody wrote to."""
    cache = open_cache(path)
    cache.take(Selection("train"))
    change_row(parts_dir, path, 300)

    others = Selection("train", np.array([3, 599]))
    cache.take(others, is_trusted=True)
    with pytest.raises(CorruptCacheError, match="row 300"):
        cache.take(Selection("train"), is_trusted=True)


@pytest.mark.parametrize("is_removed", [True, False])
def test_an_open_cache_stays_what_it_was(path, parts_dir, is_removed):
    """One that is replaced or removed meanwhile goes on to be read."""
    cache = open_cache(path)
    if is_removed:
        path.unlink()
        shutil.rmtree(parts_dir)
    else:
        write_drawn_cache(path, num_train=5, backbone="keras:Other")

    rows = cache.take(Selection("train"))

    np.testing.assert_array_equal(rows.features, draw_rows(600).features)
    assert not parts_dir.exists()


def test_an_open_cache_may_be_moved(path, tmp_path):
    """Parts are found in the folder that was opened, wherever it is."""
    cache = open_cache(path)
    shutil.move(path.parent, tmp_path / "elsewhere")

    rows = cache.take(Selection("train"))

    np.testing.assert_array_equal(rows.features, draw_rows(600).features)


def test_many_parts_need_few_descriptors(tmp_path):
    """A process may have far fewer files open than a cache has parts."""
    path = tmp_path / "many.h5"
    num_parts = 150
    rows = write_drawn_cache(
        path,
        num_train=num_parts * 256,
        num_views=1,
        feature_dim=1,
        max_file_bytes=8192 + 1024,
    )["train"]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    num_open = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (num_open + 50, before[1]))
    try:
        cache = open_cache(path)
        taken = cache.take(Selection("train"))
        again = cache.take(Selection("train"), is_trusted=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert len(cache.files.list_sizes()) == 1 + num_parts + 1
    np.testing.assert_array_equal(taken.features, rows.features)
    np.testing.assert_array_equal(again.features, rows.features)


def test_many_caches_need_few_descriptors(path, parts_dir, monkeypatch):
    """Those of all are counted, and each is read all the same."""
    monkeypatch.setattr(part_files, "MOST_IN_ALL", 8)
    gc.collect()

    caches = [open_cache(path) for _ in range(9)]

    names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    places = [os.readlink(name) for name in names if os.path.lexists(name)]
    num_open = sum(os.path.dirname(p) == str(parts_dir) for p in places)
    assert num_open < 8 + len(caches)
    for cache in caches:
        cache.take(Selection("train"))


def test_no_descriptor_is_left_open(path, parts_dir):
    """Caches that are let go, or refused, cost no open file."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))

    open_cache(path).take(Selection("train"))
    (parts_dir / "train-00001.h5").unlink()
    with pytest.raises(CorruptCacheError):
        open_cache(path)
    gc.collect()

    assert len(os.listdir("/proc/self/fd")) == before


def test_the_index_needs_no_part(path, parts_dir):
    """Ids and labels are in the file itself."""
    shutil.rmtree(parts_dir)

    index = open_damaged(path).index("train")

    expected = draw_rows(NUM_TRAIN)
    np.testing.assert_array_equal(index.labels, expected.labels)
    assert set(vars(index)) == set(INDEX_COLUMNS)
