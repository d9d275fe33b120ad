"""Tests for `embed.cache`."""

import gc
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from embed.cache import PIECE_ROWS
from embed.cache import open_cache
from embed.cache import open_damaged
from embed.errors import CorruptCacheError
from embed.errors import MissingArtifactError
from embed.rows import INDEX_COLUMNS
from embed.splits import Selection
from tests.drawn_caches import COLUMNS
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import change_bytes
from tests.drawn_caches import create_spec
from tests.drawn_caches import draw_rows
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of
from tests.drawn_caches import write_drawn_cache

ADVICE = r"embed verify .* --repair`.*build-cache --overwrite"
NO_SEAL = r"Move it away, or build it again with `.*build-cache --overwrite`"
STRIDE = 7  # Of the bytes that are flipped one at a time: 7 is odd and prime.


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of 300 training rows, two blocks, and 4 test rows."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path)
    return path


def take_all(path):
    """Opens a cache and reads every row of it."""
    cache = open_cache(path)
    return {split: cache.take(Selection(split)) for split in cache.num_images}


def change_rows(path, name, first, last, change=flip_a_bit, split="train"):
    """Changes the bytes of some rows of a column on disk."""
    column = open_damaged(path).seal.columns[split][name]
    change_bytes(path, *place_of(column, first, last), change)


def as_zeros(data):
    """What a bad disk may give back."""
    return bytes(len(data))


@given(
    num_rows=st.tuples(st.integers(1, 600), st.integers(1, 9)),
    num_views=st.integers(1, 3),
    feature_dim=st.integers(1, 9),
    dtype=st.sampled_from(["float32", "float16"]),
    cuts=st.lists(st.integers(0, 600), max_size=4),
)
@settings(max_examples=25)
def test_round_trip_is_exact(num_rows, num_views, feature_dim, dtype, cuts):
    """What is written is read bit by bit, in whatever pieces it came."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.h5"

        written = write_drawn_cache(
            path,
            num_train=num_rows[0],
            num_test=num_rows[1],
            num_views=num_views,
            feature_dim=feature_dim,
            dtype=dtype,
            cuts=[min(cut, num_rows[0]) for cut in cuts],
        )
        cache = open_cache(path)

        assert tuple(cache.num_images.values()) == num_rows
        assert cache.feature_dim == feature_dim
        for split, expected in written.items():
            rows, index = cache.take(Selection(split)), cache.index(split)
            assert rows.features.dtype == np.float32
            np.testing.assert_array_equal(rows.features, expected.features)
            np.testing.assert_array_equal(rows.labels, expected.labels)
            ids = [image_id.decode() for image_id in expected.image_ids]
            assert list(rows.image_ids) == list(index.image_ids) == ids
            for name in ("content_digests", "is_oriented"):
                np.testing.assert_array_equal(
                    getattr(index, name), getattr(expected, name)
                )


def test_spec_and_provenance_are_read_back(path):
    """A cache says what it is and how it came about, with no other file."""
    cache = open_cache(path)

    assert cache.spec == create_spec()
    assert cache.fingerprint == create_spec().fingerprint()
    assert cache.provenance == PROVENANCE
    assert cache.num_images == {"train": 300, "test": 4}


def test_layout_is_as_documented(path):
    """Another program can read the file by the module's table."""
    with h5py.File(path) as file:
        train = file["train"]
        facts = {
            name: (dataset.shape, dataset.dtype.kind, dataset.dtype.itemsize)
            for name, dataset in train.items()
        }
        encoding = h5py.check_string_dtype(train["image_ids"].dtype).encoding
        texts = {n: bytes(value).decode() for n, value in file.attrs.items()}
        chunks = [dataset.chunks for dataset in train.values()]

    assert facts == {
        "features": ((300, 2, 4), "f", 4),
        "labels": ((300,), "i", 4),
        "image_ids": ((300,), "S", len("été/0000.jpg".encode())),
        "content_digests": ((300, 32), "u", 1),
        "is_oriented": ((300,), "u", 1),
        "row_digests": ((300, 32), "u", 1),
    }
    assert encoding == "utf-8"
    assert texts["spec"] == create_spec().to_json()
    assert texts["fingerprint"] == create_spec().fingerprint()
    assert json.loads(texts["provenance"])["engine"] == "tensorflow"
    assert chunks == [None] * len(COLUMNS)  # Contiguous.


def test_row_digests_are_as_documented(path):
    """Another program can check a row: SHA-256 of its place and columns."""
    rows = draw_rows(300)

    with h5py.File(path) as file:
        digest = file["train/row_digests"][258].tobytes()

    expected = hashlib.sha256(
        b"train"
        + (258).to_bytes(8, "little")
        + rows.labels[258].tobytes()
        + rows.content_digests[258].tobytes()
        + rows.is_oriented[258].tobytes()
        + rows.image_ids[258]
        + rows.features[258].tobytes()
    ).digest()
    assert digest == expected


@pytest.mark.parametrize(
    "rows", [[1, 299], [], [299, 0, 0, 7], list(range(0, 300, 3))], ids=len
)
def test_take_some_rows(path, rows):
    """A selection takes its rows in its order, and all columns alike."""
    expected = draw_rows(300)

    taken = open_cache(path).take(Selection("train", np.array(rows, int)))

    np.testing.assert_array_equal(taken.features, expected.features[rows])
    np.testing.assert_array_equal(taken.labels, expected.labels[rows])
    assert taken.image_ids == tuple(f"été/{row:04}.jpg" for row in rows)


def test_features_are_aligned_for_tensorflow(path):
    """Memory that starts on 64 bytes is shared and not copied."""
    cache = open_cache(path)

    for rows in ([3], [1, 2], list(range(299))):
        taken = cache.take(Selection("train", np.array(rows)))

        assert taken.features.ctypes.data % 64 == 0
        assert taken.features.flags.c_contiguous


def test_taken_rows_belong_to_the_caller(path):
    """Who changes them changes nobody else's."""
    cache = open_cache(path)
    cache.take(Selection("train")).features[:] = 0

    features = cache.take(Selection("train")).features

    np.testing.assert_array_equal(features, draw_rows(300).features)


@pytest.mark.parametrize("rows", [None, [7, 3], list(range(0, 300, 2)), []])
def test_trusted_rows_are_the_same(path, rows):
    """Who had them checked before gets them unchecked, and no others."""
    rows = None if rows is None else np.array(rows, int)
    checked = open_cache(path).take(Selection("train", rows))

    trusted = open_cache(path).take(Selection("train", rows), is_trusted=True)

    np.testing.assert_array_equal(trusted.features, checked.features)
    np.testing.assert_array_equal(trusted.labels, checked.labels)
    assert trusted.image_ids == checked.image_ids


def test_trust_ends_when_the_file_is_written_to(path):
    """A row that was checked may be another by now: it is checked again."""
    cache = open_cache(path)
    everything = Selection("train")
    cache.take(everything)
    change_rows(path, "features", 7, 7)
    os.utime(path, ns=(1, 1))  # Whatever the clock's tick is.

    with pytest.raises(CorruptCacheError, match=ADVICE):
        cache.take(everything, is_trusted=True)


def test_pictures_digest_is_of_contents(path, tmp_path):
    """It tells other pictures under the same names, and no other features."""
    other = tmp_path / "other.h5"
    write_drawn_cache(other, num_test=5)
    same = tmp_path / "same.h5"
    write_drawn_cache(same, backbone="keras:Other", num_views=1)

    digests = [open_cache(p).pictures_digest() for p in (path, other, same)]

    assert digests[0] != digests[1]
    assert digests[0] == digests[2]


def test_opening_reads_no_rows(path):
    """What `info` and `list` need is there although rows are damaged."""
    change_rows(path, "features", 0, 299, as_zeros)

    assert open_cache(path).num_images == {"train": 300, "test": 4}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("rows", [(0, 19), (250, 260), (280, 299)])
@pytest.mark.parametrize("change", [flip_a_bit, as_zeros])
def test_damaged_rows_are_found(path, name, rows, change):
    """One bit, or bytes that a bad disk zeroed, in any column."""
    change_rows(path, name, *rows, change)

    with pytest.raises(CorruptCacheError, match=ADVICE):
        take_all(path)


def test_error_names_rows(path):
    """How many, of which split, and where they begin."""
    change_rows(path, "features", 7, 8, as_zeros)

    with pytest.raises(CorruptCacheError, match="2 rows of train, row 7 the"):
        take_all(path)


def test_every_damaged_byte_is_found(tmp_path):
    """Any byte of the file: a seal is told, all else refuses to be read."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path, num_train=5, num_test=2)

    for position in range(0, path.stat().st_size, STRIDE):
        change_bytes(path, position, position + 1, flip_a_bit)
        damaged_seals = open_damaged(path).damaged_seals()
        if damaged_seals:
            open_cache(path)  # The other copy suffices.
        else:
            with pytest.raises(CorruptCacheError, match=ADVICE):
                take_all(path)
        change_bytes(path, position, position + 1, flip_a_bit)

    assert len(take_all(path)["train"]) == 5


def test_damage_elsewhere_does_not_matter(path):
    """Each row vouches for itself: the others, and the other split, do."""
    change_rows(path, "features", 5, 5)
    cache = open_cache(path)

    others = cache.take(Selection("train", np.array([4, 6, 299])))

    assert len(others) == 3
    assert len(cache.take(Selection("test"))) == 4
    with pytest.raises(CorruptCacheError, match=ADVICE):
        cache.take(Selection("train", np.array([4, 5])))


@pytest.mark.parametrize("name", INDEX_COLUMNS)
def test_damaged_index_is_found_without_the_features(path, name):
    """Labels and ids are checked by whoever reads them alone."""
    change_rows(path, name, 3, 3)

    with pytest.raises(CorruptCacheError, match="other labels or ids in train"):
        open_cache(path).index("train")


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_changed_through_hdf5_are_found(path, name):
    """A writer renews HDF5's checksums and cuts a seal off; not our digest."""
    with h5py.File(path, "r+") as file:
        dataset = file["train"][name]
        dataset[3:30] = dataset[103:130]

    with pytest.raises(CorruptCacheError, match=ADVICE):
        take_all(path)


@pytest.mark.parametrize("rows", [(3, 4), (0, 299), (3, 259)])
def test_swapped_rows_are_found(path, rows):
    """Two whole rows that changed places, their digests with them."""
    cache = open_cache(path)
    first, second = rows
    for name in COLUMNS:
        column = cache.seal.columns["train"][name]
        places = [place_of(column, row, row) for row in (first, second)]
        data = path.read_bytes()
        held = [data[slice(*place)] for place in places]
        change_bytes(path, *places[0], lambda _, held=held: held[1])
        change_bytes(path, *places[1], lambda _, held=held: held[0])

    with pytest.raises(CorruptCacheError, match=ADVICE):
        take_all(path)
    with pytest.raises(CorruptCacheError, match=r"row .* the first"):
        next(cache.read_rows("train", np.array(rows)))


def test_rows_of_the_other_split_are_found(path):
    """Whole rows of the test split are not taken for training rows."""
    columns = open_cache(path).seal.columns
    data = path.read_bytes()
    for name in COLUMNS:
        test, train = columns["test"][name], columns["train"][name]
        held = data[slice(*place_of(test, 0, 3))]
        change_bytes(path, *place_of(train, 0, 3), lambda _, held=held: held)

    with pytest.raises(CorruptCacheError, match="4 rows of train, row 0"):
        next(open_cache(path).read_rows("train", np.arange(300)))


@pytest.mark.parametrize(
    ("share", "advice"),
    [
        *((share, NO_SEAL) for share in (0.0, 0.001, 0.01, 0.1)),
        *((share, ADVICE) for share in (0.25, 0.5, 0.75, 0.9, 0.99)),
    ],
)
def test_truncated_cache_is_corrupt(path, share, advice):
    """A file cut short anywhere is named, with the commands to mend it."""
    os.truncate(path, int(share * open_cache(path).seal.body_stop))

    with pytest.raises(CorruptCacheError, match=advice):
        open_cache(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(9000), bytes(9000)],
    ids=["empty", "text", "hdf5", "zeros"],
)
def test_another_file_is_corrupt(path, data):
    """What is no cache at all cannot be repaired; it may be needed."""
    path.write_bytes(data)

    with pytest.raises(CorruptCacheError, match=NO_SEAL):
        open_cache(path)


def test_foreign_hdf5_is_corrupt(path):
    """So does a whole HDF5 file of another program, or of schema 1."""
    with h5py.File(path, "w") as file:
        file["train/features"] = np.zeros((3, 2, 4))
        file.attrs["spec"] = np.bytes_(create_spec().to_json().encode())

    with pytest.raises(CorruptCacheError, match="of an older version"):
        open_cache(path)


@pytest.mark.parametrize("name", ["train", "train/features"])
def test_missing_part_is_corrupt(path, name):
    """A file from which a split or a column was deleted is no whole cache."""
    with h5py.File(path, "r+") as file:
        del file[name]

    with pytest.raises(CorruptCacheError, match=ADVICE):
        open_cache(path)


@pytest.mark.parametrize("name", ["spec", "fingerprint", "provenance"])
def test_changed_attribute_is_corrupt(path, name):
    """What other programs are told is what the seal says, or damage."""
    with h5py.File(path, "r+") as file:
        text = bytes(file.attrs[name]).replace(b"e", b"a")
        file.attrs[name] = np.bytes_(text)

    with pytest.raises(CorruptCacheError, match=ADVICE):
        open_cache(path)


def test_no_cache(tmp_path):
    """No cache is another error than a wrong cache."""
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(MissingArtifactError, match="embed build-cache`"):
            open_cache(path)


@pytest.mark.parametrize("is_removed", [True, False])
def test_an_open_cache_stays_what_it_was(path, tmp_path, is_removed):
    """One that is replaced or removed meanwhile goes on to be read."""
    cache = open_cache(path)
    if is_removed:
        path.unlink()
    else:
        write_drawn_cache(path, num_train=5, backbone="keras:Other")

    rows = cache.take(Selection("train"))

    np.testing.assert_array_equal(rows.features, draw_rows(300).features)
    assert list(tmp_path.iterdir()) == [path] * (not is_removed)


def test_no_descriptor_is_left_open(path, tmp_path):
    """Caches that are let go, or refused, cost no open file."""
    broken = tmp_path / "broken.h5"
    shutil.copy(path, broken)
    os.truncate(broken, 100)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(3):
        open_cache(path).take(Selection("test"))
        with pytest.raises(CorruptCacheError):
            open_cache(broken)
    gc.collect()

    assert len(os.listdir("/proc/self/fd")) == before


def test_rows_come_in_order_and_in_pieces(path):
    """Threads read ahead; their pieces are not mixed up."""
    rows = np.array(list(itertools.islice(itertools.cycle(range(300)), 1000)))

    pieces = list(open_cache(path).read_rows("train", rows))

    assert [start for start, _ in pieces] == [0, 256, 512, 768]
    assert max(len(stored) for _, stored in pieces) == PIECE_ROWS
    labels = np.concatenate([stored.labels for _, stored in pieces])
    np.testing.assert_array_equal(labels, draw_rows(300).labels[rows])


def test_unchecked_rows_are_told_apart(path):
    """Who repairs learns which rows are what was written."""
    change_rows(path, "features", 5, 6, as_zeros)

    stored, is_good = open_damaged(path).read_unchecked(
        "train", np.arange(3, 9)
    )

    assert is_good.tolist() == [True, True, False, False, True, True]
    np.testing.assert_array_equal(stored.labels, draw_rows(300).labels[3:9])


def test_index_of_no_good_rows_is_empty(path):
    """A split of which nothing is left is damaged, not a crash."""
    index = open_damaged(path).index_of_good("test", np.array([], int))

    assert index.image_ids == ()
    assert index.content_digests.shape == (0, 32)


def test_half_precision_is_stored_and_answers_float32(tmp_path):
    """A float16 cache takes half the room; heads see float32."""
    path = tmp_path / "cache.h5"

    rows = write_drawn_cache(path, dtype="float16")["train"]

    with h5py.File(path) as file:
        assert file["train/features"].dtype == np.float16
    features = open_cache(path).take(Selection("train")).features
    np.testing.assert_array_equal(features, np.float32(rows.features))
