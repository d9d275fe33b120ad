"""Tests for `embed.cache`."""

import dataclasses
import itertools
import json
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from embed.backbones.request import BackboneRequest
from embed.cache import open_cache
from embed.cache import write_cache
from embed.errors import CorruptCacheError
from embed.errors import MissingArtifactError
from embed.errors import StaleCacheError
from embed.provenance import Provenance
from embed.provenance import SkippedImage
from embed.rows import StoredBlock
from embed.sources.source import SourceRequest
from embed.spec import CacheSpec
from embed.spec import SplitSpec
from embed.splits import Selection

PROVENANCE = Provenance(
    source=SourceRequest(dataset="folder:/pictures"),
    backbone=BackboneRequest(handle="keras:Tiny", image_size=(8, 8)),
    engine="tensorflow",
    created="2026-01-01T00:00:00+00:00",
    host="host",
    devices="no GPU, 2 CPU threads",
    versions={"numpy": "2"},
    seconds={"forward": 1.5},
    skipped=(SkippedImage(split="train", image_id="é", reason="empty"),),
    num_oriented=3,
)
DATASETS = ["features", "labels", "image_ids", "content_digests"]


def create_spec(num_train=300, num_test=4, dtype="float32"):
    """Returns the spec of a cache of so many rows."""
    counts = {"train": num_train, "test": num_test}
    return CacheSpec(
        dataset="folder",
        dataset_version="",
        class_names=("cat", "dog"),
        splits={
            split: SplitSpec(num_images=count, digest="d" * 64)
            for split, count in counts.items()
        },
        backbone="keras:Tiny",
        weights_digest="w" * 64,
        image_size=(8, 8),
        views=("plain", "flip"),
        dtype=dtype,
    )


def draw_rows(num_images, *, num_views=2, feature_dim=4, dtype="float32"):
    """Returns rows without a zero byte too many: none is like an empty one."""
    rng = np.random.default_rng(num_images)
    ids = [f"été/{number:04}.jpg" for number in range(num_images)]
    shape = num_images, num_views, feature_dim
    return StoredBlock(
        features=rng.normal(size=shape).astype(dtype),
        labels=rng.integers(0, 2, num_images).astype(np.int32),
        image_ids=np.char.encode(ids, "utf-8"),
        content_digests=rng.integers(0, 256, (num_images, 32), np.uint8),
    )


def write(path, spec, pieces):
    """Writes a cache from a list of pieces by split."""
    write_cache(
        path,
        spec=spec,
        provenance=PROVENANCE,
        splits={
            split: lambda of_split=of_split: iter(of_split)
            for split, of_split in pieces.items()
        },
    )


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of 300 training rows, two blocks, and 4 test rows."""
    path = tmp_path / "cache.h5"
    rows = {"train": [draw_rows(300)], "test": [draw_rows(4)]}
    write(path, create_spec(), rows)
    return path


@given(
    num_rows=st.tuples(st.integers(1, 600), st.integers(1, 9)),
    num_views=st.integers(1, 3),
    feature_dim=st.integers(1, 9),
    dtype=st.sampled_from(["float32", "float16"]),
    cuts=st.lists(st.integers(0, 600), max_size=4),
)
@settings(max_examples=15)
def test_round_trip_is_exact(num_rows, num_views, feature_dim, dtype, cuts):
    """What is written is read bit by bit, in whatever pieces it came."""
    splits = {
        split: draw_rows(
            count, num_views=num_views, feature_dim=feature_dim, dtype=dtype
        )
        for split, count in zip(("train", "test"), num_rows, strict=True)
    }
    bounds = [0, *sorted(min(cut, num_rows[0]) for cut in cuts), num_rows[0]]
    train = [
        splits["train"].cut(start, stop)
        for start, stop in itertools.pairwise(bounds)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.h5"
        spec = create_spec(*num_rows, dtype)

        write(path, spec, {"train": train, "test": [splits["test"]]})
        cache = open_cache(path)

        assert cache.spec == spec
        assert cache.num_images == dict(
            zip(("train", "test"), num_rows, strict=True)
        )
        assert cache.feature_dim == feature_dim
        for split, expected in splits.items():
            rows = cache.take(Selection(split))
            assert rows.features.dtype == np.float32
            np.testing.assert_array_equal(rows.features, expected.features)
            np.testing.assert_array_equal(rows.labels, expected.labels)
            ids = [image_id.decode() for image_id in expected.image_ids]
            assert list(rows.image_ids) == ids


def test_spec_and_provenance_are_read_back(path):
    """A cache says what it is and how it came about, with no other file."""
    cache = open_cache(path)

    assert cache.spec == create_spec()
    assert cache.fingerprint == create_spec().fingerprint()
    assert cache.provenance == PROVENANCE
    assert cache.num_images == {"train": 300, "test": 4}


def test_nothing_is_left_beside_the_cache(path):
    """No `.part` and no lock of ours stays."""
    assert list(path.parent.iterdir()) == [path]


def test_equal_inputs_give_equal_datasets(path, tmp_path):
    """Pieces and provenance do not show in any dataset."""
    whole = draw_rows(300)
    other = tmp_path / "other.h5"
    pieces = [whole.cut(0, 7), whole.cut(7, 290), whole.cut(290)]

    write(other, create_spec(), {"train": pieces, "test": [draw_rows(4)]})

    with h5py.File(path) as first, h5py.File(other) as second:
        for name in (*DATASETS, "block_digests"):
            for split in ("train", "test"):
                np.testing.assert_array_equal(
                    first[split][name][:], second[split][name][:]
                )


def test_layout_is_as_documented(path):
    """Another program can read the file by the module's table."""
    with h5py.File(path) as file:
        train = file["train"]
        facts = {
            name: (train[name].shape, train[name].dtype.kind)
            for name in (*DATASETS, "block_digests")
        }
        encoding = h5py.check_string_dtype(train["image_ids"].dtype).encoding
        spec = json.loads(bytes(file.attrs["spec"]))

    assert facts == {
        "features": ((300, 2, 4), "f"),
        "labels": ((300,), "i"),
        "image_ids": ((300,), "S"),
        "content_digests": ((300, 32), "u"),
        "block_digests": ((2, 32), "u"),
    }
    assert encoding == "utf-8"
    assert spec["backbone"] == "keras:Tiny"


def test_take_some_rows(path):
    """A selection takes its rows in its order, and all columns alike."""
    expected = draw_rows(300)

    rows = open_cache(path).take(Selection("train", np.array([1, 299])))

    np.testing.assert_array_equal(rows.features, expected.features[[1, 299]])
    np.testing.assert_array_equal(rows.labels, expected.labels[[1, 299]])
    assert rows.image_ids == ("été/0001.jpg", "été/0299.jpg")
    assert open_cache(path).image_ids("test") == tuple(
        f"été/{number:04}.jpg" for number in range(4)
    )


def test_opening_reads_no_rows(path):
    """What `info` and `list` need is there although a block is damaged."""
    damage(path, "train", "features", 0, lambda data: bytes(len(data)))

    assert open_cache(path).num_images == {"train": 300, "test": 4}


def damage(path, split, name, chunk, change):
    """Replaces the bytes of one chunk of a dataset on disk."""
    with h5py.File(path) as file:
        info = file[split][name].id.get_chunk_info(chunk)
    with path.open("r+b") as file:
        file.seek(info.byte_offset)
        data = file.read(info.size)
        file.seek(info.byte_offset)
        file.write(change(data))


def flip_a_bit(data):
    """Changes one bit in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize(
    "change",
    [flip_a_bit, lambda data: bytes(len(data))],
    ids=["flipped-bit", "zeroed"],
)
def test_damaged_rows_are_found(path, name, chunk, change):
    """One bit, or a block that a bad disk zeroed, in any column."""
    damage(path, "train", name, chunk, change)

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        open_cache(path).take(Selection("train"))


def test_damaged_split_leaves_the_other(path):
    """Each split is checked when it is read."""
    damage(path, "train", "features", 0, flip_a_bit)

    assert len(open_cache(path).take(Selection("test"))) == 4


@pytest.mark.parametrize("name", DATASETS)
def test_rows_changed_through_hdf5_are_found(path, name):
    """HDF5's own checksums are renewed by a writer; our digest is not."""
    with h5py.File(path, "a") as file:
        dataset = file["train"][name]
        dataset[3] = dataset[4]

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        open_cache(path).take(Selection("train"))


def test_swapped_blocks_are_found(path):
    """Whole rows of another split are not taken for these."""
    with h5py.File(path, "a") as file:
        file.move("train/block_digests", "train/other")
        file.move("test/block_digests", "train/block_digests")

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        open_cache(path).take(Selection("train"))


@pytest.mark.parametrize(
    "share", [0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
)
def test_truncated_cache_is_corrupt(path, share):
    """A file cut short anywhere is named, with the command to mend it."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        open_cache(path).take(Selection("train"))


def test_text_is_corrupt(path):
    """A file that is no HDF5 at all gets the same advice."""
    path.write_text("hello")

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        open_cache(path)


def test_foreign_file_is_corrupt(path):
    """An HDF5 file of another program gets the same advice."""
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros(3)

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        open_cache(path)


@pytest.mark.parametrize("name", ["train", "train/features"])
def test_missing_part_is_corrupt(path, name):
    """A file that lacks a split or a column is no whole cache."""
    with h5py.File(path, "a") as file:
        del file[name]

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        open_cache(path)


@pytest.mark.parametrize("name", ["spec", "fingerprint", "provenance"])
@pytest.mark.parametrize("value", [b"{}", b"\xff", b"[", b"[]", 3], ids=repr)
def test_senseless_attribute_is_corrupt(path, name, value):
    """Attributes that say nothing are damage, not a crash."""
    with h5py.File(path, "a") as file:
        file.attrs[name] = np.bytes_(value) if value != 3 else value

    with pytest.raises((CorruptCacheError, StaleCacheError), match="--overwri"):
        open_cache(path)


def test_edited_spec_is_corrupt(path):
    """A spec that does not give the fingerprint beside it is not believed."""
    other = create_spec().model_copy(update={"backbone": "keras:Better"})
    with h5py.File(path, "a") as file:
        file.attrs["spec"] = np.bytes_(other.to_json().encode())

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
        open_cache(path)


@pytest.mark.parametrize("schema", [0, 2])
def test_other_schema_is_stale(path, schema):
    """A cache in another layout is refused before its spec is read."""
    with h5py.File(path, "a") as file:
        spec = json.loads(bytes(file.attrs["spec"]))
        spec |= {"schema_version": schema, "field_of_another_time": 1}
        file.attrs["spec"] = np.bytes_(json.dumps(spec).encode())

    with pytest.raises(
        StaleCacheError,
        match=f"Received: schema_version={schema}. .*build-cache --overwrite",
    ):
        open_cache(path)


def test_no_cache(tmp_path):
    """No cache is another error than a wrong cache."""
    with pytest.raises(MissingArtifactError, match="python -m embed build-c"):
        open_cache(tmp_path / "none.h5")


def test_failed_write_leaves_the_old_cache(path):
    """A crash while writing damages nothing and leaves nothing."""

    def pieces():
        yield draw_rows(256)
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="fire"):
        write_cache(
            path,
            spec=create_spec(),
            provenance=PROVENANCE,
            splits={"train": pieces},
        )

    assert list(path.parent.iterdir()) == [path]
    assert len(open_cache(path).take(Selection("train"))) == 300


def test_digest_is_of_each_block(path):
    """The digests in the file are those of its rows in steps of 256."""
    rows = draw_rows(300)

    with h5py.File(path) as file:
        digests = file["train/block_digests"][:]

    assert digests.tobytes() == b"".join(
        rows.cut(start, stop).digest().tobytes()
        for start, stop in ((0, 256), (256, 300))
    )


def test_half_precision_is_stored_and_answers_float32(tmp_path):
    """A float16 cache takes half the room; heads see float32."""
    rows = dataclasses.replace(
        draw_rows(4, dtype="float16"),
        features=np.full((4, 2, 4), 1 / 3, np.float16),
    )
    path = tmp_path / "cache.h5"

    write(path, create_spec(4, 4, "float16"), {"train": [rows], "test": [rows]})

    with h5py.File(path) as file:
        assert file["train/features"].dtype == np.float16
    features = open_cache(path).take(Selection("train")).features
    np.testing.assert_array_equal(features, np.float32(np.float16(1 / 3)))
