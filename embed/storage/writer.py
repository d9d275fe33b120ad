"""Writes a feature cache: laid out, filled and sealed beside its place.

The space is asked for before the first row is written, so that a full disk is
found at once; the file is moved to its place when it is whole and on disk.
"""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from embed.provenance import Provenance
from embed.rows import DIGEST_BYTES
from embed.rows import ROW_DIGESTS
from embed.rows import StoredRows
from embed.rows import digest_index
from embed.spec import CacheSpec
from embed.storage.hdf5 import Column
from embed.storage.hdf5 import create_file
from embed.storage.seal import Seal
from embed.storage.seal import reserve_bytes

Layout = dict[str, tuple[str, tuple[int, ...]]]  # Dtype and shape by column.
STRUCTURE_BYTES = 2**20  # Far more than HDF5 and the seal need.


@dataclasses.dataclass(frozen=True)
class FeatureRows:
    """The features of some consecutive rows, on their way into a cache.

    Args:
        features: `(num_rows, num_views, feature_dim)`.
        content_digests: uint8 `(num_rows, 32)`.
        is_oriented: Booleans `(num_rows,)`.
    """

    features: np.ndarray
    content_digests: np.ndarray
    is_oriented: np.ndarray

    def __len__(self) -> int:
        return len(self.features)


@dataclasses.dataclass(frozen=True)
class SplitContent:
    """What goes into one split of a cache.

    Args:
        image_ids: Ids in row order.
        labels: Class indices `(num_images,)`.
        read: Yields the features of all rows, in order, in pieces of any
            length.
    """

    image_ids: tuple[str, ...]
    labels: np.ndarray
    read: Callable[[], Iterator[FeatureRows]]


def write_cache(
    path: Path,
    *,
    spec: CacheSpec,
    provenance: Provenance,
    feature_dim: int,
    splits: Mapping[str, SplitContent],
) -> None:
    """Writes a cache beside `path`, then moves it there.

    Args:
        path: Final path; what is there stays until the new file is whole.
        spec: What the rows are determined by.
        provenance: How they came about.
        feature_dim: Number of features a vector.
        splits: What each split holds.

    Raises:
        OSError: If the disk is full; nothing is left then.
    """
    path = path.resolve()  # A link stays one.
    part = path.with_name(path.name + ".part")
    layout = {
        name: _list_columns(spec, feature_dim, content)
        for name, content in splits.items()
    }
    try:
        _require_room(part)
        body_start = reserve_bytes(spec, provenance)
        columns = create_file(
            part,
            layout,
            attributes={
                "spec": spec.to_json().encode(),
                "fingerprint": spec.fingerprint().encode(),
                "provenance": provenance.model_dump_json().encode(),
            },
            reserved_bytes=body_start,
        )
        descriptor = os.open(part, os.O_RDWR | os.O_CLOEXEC)
        try:
            body_stop = os.fstat(descriptor).st_size
            os.posix_fallocate(descriptor, 0, body_stop)
            index_digests = {
                name: _write_split(descriptor, columns[name], name, content)
                for name, content in splits.items()
            }
            unsigned = Seal(
                spec=spec,
                provenance=provenance,
                columns=columns,
                index_digests=index_digests,
                body_start=body_start,
                body_stop=body_stop,
                structure_digest=hashlib.sha256().hexdigest(),
            )
            seal = unsigned.model_copy(
                update={
                    "structure_digest": unsigned.digest_structure(descriptor)
                }
            )
            _write(descriptor, seal.at_start(), 0)
            _write(descriptor, seal.at_end(), body_stop)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError as error:
        error.filename = error.filename or str(part)  # For the message.
        raise
    finally:
        part.unlink(missing_ok=True)


def _require_room(path: Path) -> None:
    """Finds a full disk before HDF5 does, which says it less clearly."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, STRUCTURE_BYTES)


def _list_columns(
    spec: CacheSpec, feature_dim: int, content: SplitContent
) -> Layout:
    """Returns dtype and shape of every column of a split."""
    num_rows = len(content.image_ids)
    id_bytes = max(len(image_id.encode()) for image_id in content.image_ids)
    dtype = np.dtype(spec.dtype).newbyteorder("<").str
    return {
        "features": (dtype, (num_rows, len(spec.views), feature_dim)),
        "labels": ("<i4", (num_rows,)),
        "image_ids": (f"|S{max(id_bytes, 1)}", (num_rows,)),
        "content_digests": ("|u1", (num_rows, DIGEST_BYTES)),
        "is_oriented": ("|u1", (num_rows,)),
        ROW_DIGESTS: ("|u1", (num_rows, DIGEST_BYTES)),
    }


def _write_split(
    descriptor: int,
    columns: dict[str, Column],
    split: str,
    content: SplitContent,
) -> str:
    """Writes the rows of a split and returns the digest of its index."""
    start = 0
    seen = []
    for piece in filter(len, content.read()):
        stop = start + len(piece)
        rows = StoredRows(
            features=piece.features.astype(columns["features"].dtype),
            labels=content.labels[start:stop].astype("<i4"),
            image_ids=_encode(
                content.image_ids[start:stop], columns["image_ids"]
            ),
            content_digests=piece.content_digests,
            is_oriented=piece.is_oriented.astype("|u1"),
        )
        arrays = {
            **vars(rows),
            ROW_DIGESTS: rows.digests(split, np.arange(start, stop)),
        }
        for name, values in arrays.items():
            column = columns[name]
            offset = column.offset + start * column.row_bytes
            _write(descriptor, np.ascontiguousarray(values).data, offset)
        seen.append((rows.content_digests, rows.is_oriented))
        start = stop
    if start != len(content.image_ids):
        raise ValueError(
            f"Expected {len(content.image_ids)} rows of {split}. Received: "
            f"{start}."
        )
    return digest_index(
        [
            content.labels.astype("<i4"),
            _encode(content.image_ids, columns["image_ids"]),
            *map(np.concatenate, zip(*seen, strict=True)),
        ]
    )


def _encode(image_ids: tuple[str, ...], column: Column) -> np.ndarray:
    encoded = [image_id.encode() for image_id in image_ids]
    return np.array(encoded, column.dtype)


def _write(descriptor: int, data: "bytes | memoryview", offset: int) -> None:
    """Writes all of some bytes at a place of an open file."""
    left = memoryview(data).cast("B")
    while left:
        count = os.pwrite(descriptor, left, offset)
        left, offset = left[count:], offset + count


def _sync_folder(folder: Path) -> None:
    """Makes a rename outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
