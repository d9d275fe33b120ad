"""Writes a feature cache: laid out, filled and sealed beside its place.

The space is asked for before the first row is written, so that a full disk is
found at once; the file is moved to its place when it is whole and on disk.
Features that are too many for one file go into parts (`embed/storage/parts.py`)
first, and the parts of the cache that was there go last.
"""

import contextlib
import dataclasses
import hashlib
import math
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
from embed.spec import SCHEMA
from embed.spec import CacheSpec
from embed.storage.disk_writes import name_in_errors
from embed.storage.disk_writes import require_room
from embed.storage.disk_writes import sync_folder
from embed.storage.disk_writes import write_all
from embed.storage.hdf5 import PAGE_BYTES
from embed.storage.hdf5 import Column
from embed.storage.hdf5 import create_file
from embed.storage.part_folders import remove_leftovers_of
from embed.storage.part_writer import PartWriter
from embed.storage.parts import FEATURES
from embed.storage.seal import SCHEMA_OF_PARTS
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
    max_file_bytes: int | None = None,
) -> None:
    """Writes a cache beside `path`, then moves it there.

    Args:
        path: Final path; what is there stays until the new file is whole.
        spec: What the rows are determined by.
        provenance: How they came about.
        feature_dim: Number of features a vector.
        splits: What each split holds.
        max_file_bytes: Features that would make the file longer go into files
            of their own, none of which is longer; default: never.

    Raises:
        OSError: If the disk is full; nothing is left then.
    """
    path = path.resolve()  # A link stays one.
    part = path.with_name(path.name + ".part")
    layout = {
        name: _list_columns(spec, feature_dim, content)
        for name, content in splits.items()
    }
    reserved = reserve_bytes(spec, provenance)
    try:
        with name_in_errors(part), contextlib.ExitStack() as stack:
            require_room(part, STRUCTURE_BYTES)
            parts: PartWriter | None = None
            if max_file_bytes and _measure(layout, reserved) > max_file_bytes:
                parts = PartWriter(
                    path,
                    fingerprint=spec.fingerprint(),
                    columns={n: c.pop(FEATURES) for n, c in layout.items()},
                    max_file_bytes=max_file_bytes,
                )
                stack.enter_context(parts)
            _write_file(part, spec, provenance, layout, splits, parts)
            os.replace(part, path)
            sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
        # Those of the old cache, or the new ones where this has failed; what
        # the disk does not let go of is left to `embed prune`.
        with contextlib.suppress(OSError):
            remove_leftovers_of(path)


def _write_file(
    path: Path,
    spec: CacheSpec,
    provenance: Provenance,
    layout: Mapping[str, Layout],
    splits: Mapping[str, SplitContent],
    parts: PartWriter | None,
) -> None:
    """Writes the file of a cache, and its features where they belong."""
    parted = parts.parted if parts is not None else None
    body_start = reserve_bytes(spec, provenance, parted)
    columns = create_file(
        path,
        layout,
        virtual=parted.as_virtual() if parted is not None else None,
        attributes={
            "spec": spec.to_json().encode(),
            "fingerprint": spec.fingerprint().encode(),
            "provenance": provenance.model_dump_json().encode(),
        },
        reserved_bytes=body_start,
    )
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        body_stop = os.fstat(descriptor).st_size
        os.posix_fallocate(descriptor, 0, body_stop)
        index_digests = {
            name: _write_split(
                descriptor, columns[name], name, content, spec.dtype, parts
            )
            for name, content in splits.items()
        }
        unsigned = Seal(
            schema_version=SCHEMA if parts is None else SCHEMA_OF_PARTS,
            spec=spec,
            provenance=provenance,
            columns=columns,
            index_digests=index_digests,
            body_start=body_start,
            body_stop=body_stop,
            structure_digest=hashlib.sha256().hexdigest(),
            parted=parted,
        )
        seal = unsigned.model_copy(
            update={"structure_digest": unsigned.digest_structure(descriptor)}
        )
        write_all(descriptor, seal.at_start(), 0)
        write_all(descriptor, seal.at_end(), body_stop)
        if parts is not None:
            parts.finish()
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _measure(layout: Mapping[str, Layout], reserved_bytes: int) -> int:
    """Returns how long a file of all columns would be, at most."""
    sizes = [
        np.dtype(dtype).itemsize * math.prod(shape)
        for of_split in layout.values()
        for dtype, shape in of_split.values()
    ]
    # Both seals; and each column may start on a page of its own.
    return sum(sizes) + 2 * reserved_bytes + PAGE_BYTES * (len(sizes) + 1)


def _list_columns(
    spec: CacheSpec, feature_dim: int, content: SplitContent
) -> Layout:
    """Returns dtype and shape of every column of a split."""
    num_rows = len(content.image_ids)
    id_bytes = max(len(image_id.encode()) for image_id in content.image_ids)
    dtype = _stored_dtype(spec.dtype).str
    return {
        FEATURES: (dtype, (num_rows, len(spec.views), feature_dim)),
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
    dtype: str,
    parts: PartWriter | None,
) -> str:
    """Writes the rows of a split and returns the digest of its index."""
    start = 0
    seen = []
    for piece in filter(len, content.read()):
        stop = start + len(piece)
        rows = StoredRows(
            features=piece.features.astype(_stored_dtype(dtype)),
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
        if parts is not None:
            parts.write(split, start, arrays.pop(FEATURES))
        for name, values in arrays.items():
            column = columns[name]
            offset = column.offset + start * column.row_bytes
            write_all(descriptor, np.ascontiguousarray(values).data, offset)
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


def _stored_dtype(dtype: str) -> "np.dtype[np.generic]":
    stored: np.dtype[np.generic] = np.dtype(dtype).newbyteorder("<")
    return stored
