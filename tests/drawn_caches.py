"""Caches for tests: drawn rows, written without a backbone, and damaged.

`tests/conftest.py` has one of clouds of points, for heads; these here have
content digests, orientations and ids that are no ASCII.
"""

import dataclasses
import functools
import itertools

import h5py
import numpy as np

from embed.backbones.request import BackboneRequest
from embed.provenance import Attempt
from embed.provenance import Provenance
from embed.provenance import SkippedImage
from embed.rows import StoredRows
from embed.sources.request import SourceRequest
from embed.sources.source import NO_LABEL
from embed.sources.source import UNLABELLED
from embed.spec import CacheSpec
from embed.spec import SplitSpec
from embed.storage.writer import FeatureRows
from embed.storage.writer import SplitContent
from embed.storage.writer import write_cache

NUM_VIEWS, FEATURE_DIM = 2, 4
PART_BYTES = 16_384  # A block of 256 such rows, and what HDF5 needs.
COLUMNS = (
    "features",
    "labels",
    "image_ids",
    "content_digests",
    "is_oriented",
    "row_digests",
)
PROVENANCE = Provenance(
    source=SourceRequest(dataset="folder:/pictures"),
    backbone=BackboneRequest(handle="keras:Tiny", image_size=(8, 8)),
    engine="tensorflow",
    max_pixels=10**6,
    created="2026-01-01T00:00:00+00:00",
    host="host",
    devices="no GPU, 2 CPU threads",
    versions={"numpy": "2"},
    seconds={"forward": 1.5},
    skipped=(
        SkippedImage(
            split="train",
            image_id="é",
            reason="empty",
            content_digest="ab" * 32,
        ),
    ),
    num_oriented=3,
    parents=("older.h5",),
    attempts=(
        Attempt(
            started="2026-01-01T00:00:00+00:00",
            host="host",
            pid=7,
            engine="tensorflow",
            num_views=600,
        ),
    ),
)


def create_spec(num_train=300, num_test=4, **fields):
    """Returns the spec of a cache of so many rows; fields of it by name."""
    counts = {"train": num_train, "test": num_test}
    spec = {
        "dataset": "folder",
        "dataset_version": "",
        "class_names": ("cat", "dog"),
        "splits": {
            split: SplitSpec(num_images=count, digest="d" * 64)
            for split, count in counts.items()
        },
        "backbone": "keras:Tiny",
        "weights_digest": "w" * 64,
        "image_size": (8, 8),
        "views": ("plain", "flip", "third")[:NUM_VIEWS],
    }
    return CacheSpec(**{**spec, **fields})


def draw_rows(
    num_images, *, num_views=NUM_VIEWS, feature_dim=FEATURE_DIM, dtype="float32"
):
    """Returns rows as a file holds them, the same every time."""
    rng = np.random.default_rng(num_images)
    ids = [f"été/{number:04}.jpg" for number in range(num_images)]
    index = {
        "labels": rng.integers(0, 2, num_images).astype(np.int32),
        "image_ids": np.char.encode(ids, "utf-8"),
        "content_digests": rng.integers(0, 256, (num_images, 32), np.uint8),
        "is_oriented": rng.integers(0, 2, num_images).astype(np.uint8),
    }
    # Last, so that their shape does not show in the others.
    features = rng.normal(size=(num_images, num_views, feature_dim))
    return StoredRows(features=features.astype(dtype), **index)


def as_content(rows, cuts=()):
    """Returns rows as `write_cache` takes them, in pieces cut at `cuts`."""
    bounds = [0, *sorted(cuts), len(rows)]

    def read():
        for start, stop in itertools.pairwise(bounds):
            yield FeatureRows(
                features=rows.features[start:stop],
                content_digests=rows.content_digests[start:stop],
                is_oriented=rows.is_oriented[start:stop] != 0,
            )

    return SplitContent(
        image_ids=tuple(i.decode() for i in rows.image_ids.tolist()),
        labels=rows.labels,
        read=read,
    )


def write_drawn_cache(
    path,
    *,
    num_train=300,
    num_test=4,
    cuts=(),
    provenance=PROVENANCE,
    num_views=NUM_VIEWS,
    feature_dim=FEATURE_DIM,
    dtype="float32",
    max_file_bytes=None,
    **fields,
):
    """Writes a cache of drawn rows.

    Takes where the training rows are cut into pieces, how long a file may be
    and, by name, fields of the spec. Returns the rows by split.
    """
    draw = functools.partial(
        draw_rows, num_views=num_views, feature_dim=feature_dim, dtype=dtype
    )
    splits = {"train": draw(num_train), "test": draw(num_test)}
    fields.setdefault("views", ("plain", "flip", "third")[:num_views])
    write_cache(
        path,
        spec=create_spec(num_train, num_test, dtype=dtype, **fields),
        provenance=provenance,
        feature_dim=feature_dim,
        splits={
            split: as_content(rows, cuts if split == "train" else ())
            for split, rows in splits.items()
        },
        max_file_bytes=max_file_bytes,
    )
    return splits


def write_unlabelled_cache(path, *, num_images=6, change=lambda rows: rows):
    """Writes a cache of drawn rows without labels, changed by `change`."""
    drawn = draw_rows(num_images)
    labels = np.full(num_images, NO_LABEL, np.int32)
    rows = change(dataclasses.replace(drawn, labels=labels))
    write_cache(
        path,
        spec=create_spec(
            class_names=(),
            splits={
                UNLABELLED: SplitSpec(num_images=num_images, digest="d" * 64)
            },
        ),
        provenance=PROVENANCE,
        feature_dim=FEATURE_DIM,
        splits={UNLABELLED: as_content(rows)},
    )


def read_datasets(path):
    """Returns every dataset that h5py finds in a file, by its name."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def assert_equal_datasets(left, right):
    """Both hold the same datasets, bit by bit."""
    assert left.keys() == right.keys()
    for name, expected in left.items():
        assert right[name].dtype == expected.dtype, name
        assert right[name].tobytes() == expected.tobytes(), name


def change_bytes(path, start, stop, change):
    """Puts `change(data)` in the place of some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        data = change(file.read(stop - start))
        file.seek(start)
        file.write(data)


def flip_a_bit(data):
    """Changes one bit in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def place_of(column, first, last):
    """Returns the bytes in which rows of a column lie, as start and stop."""
    start = column.offset + first * column.row_bytes
    return start, column.offset + (last + 1) * column.row_bytes


def files_in(folder):
    """Returns the names of what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())
