"""The feature cache: what a frozen backbone saw, in one HDF5 file.

Layout, schema 1, for each split of `n` images, `v` views per image and `d`
features; rows are divided into blocks of 256:

    /SPLIT/features         float32 or float16 (n, v, d)  view 0 is the image
    /SPLIT/labels           int32   (n,)    class indices, from 0
    /SPLIT/image_ids        utf-8   (n,)    fixed length, zero-padded
    /SPLIT/content_digests  uint8   (n, 32) SHA-256 of each encoded image
    /SPLIT/block_digests    uint8   (b, 32) SHA-256 of a block's vectors,
                                            labels, ids and content digests
    attribute spec          canonical JSON of a `CacheSpec`, bytes
    attribute fingerprint   of that spec, bytes
    attribute provenance    JSON of a `Provenance`, bytes

Equal specs give equal datasets, bit by bit; what may differ between two
builds of the same thing is in the provenance. A cache is complete or absent:
it is written beside its final path, then moved there.
"""

import dataclasses
import os
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pydantic

from embed.blocks import BLOCK_ROWS
from embed.errors import CorruptCacheError
from embed.errors import MissingArtifactError
from embed.errors import StaleCacheError
from embed.provenance import Provenance
from embed.rows import Rows
from embed.rows import StoredBlock
from embed.spec import SCHEMA
from embed.spec import CacheSpec
from embed.spec import digest_arrays
from embed.splits import Selection

BUILD_COMMAND = "python -m embed build-cache"


class FeatureCache:
    """A finished cache, opened for reading.

    Example:
        cache = open_cache(Path("artifacts/caches/pets-9f3c.h5"))
        rows = cache.take(Selection("test"))

    Args:
        path: Where it lies.
        spec: What its rows are determined by.
        provenance: How it came about.
        num_images: Number of rows by split.
        feature_dim: Number of features a vector.
    """

    def __init__(
        self,
        *,
        path: Path,
        spec: CacheSpec,
        provenance: Provenance,
        num_images: dict[str, int],
        feature_dim: int,
    ) -> None:
        self.path = path
        self.spec = spec
        self.fingerprint = spec.fingerprint()
        self.provenance = provenance
        self.num_images = num_images
        self.feature_dim = feature_dim
        self._splits: dict[str, Rows] = {}

    def take(self, selection: Selection) -> Rows:
        """Returns the selected rows, checked against their digests.

        Raises:
            CorruptCacheError: If a block is not what was written.
        """
        rows = self._read_split(selection.split)
        return rows if selection.rows is None else rows.take(selection.rows)

    def content_digests(self, split: str) -> np.ndarray:
        """Returns the SHA-256 of each encoded image, uint8 `(n, 32)`.

        Raises:
            CorruptCacheError: If they cannot be read.
        """
        try:
            with h5py.File(self.path, "r") as file:
                digests: np.ndarray = file[split]["content_digests"][:]
        except (OSError, KeyError) as error:
            raise _corrupt(self.path, str(error)) from error
        return digests

    def pictures_digest(self) -> str:
        """Returns the SHA-256 of what every picture held.

        The fingerprint knows pictures by id; this tells a picture that was
        replaced, or left out, under the same fingerprint. It does not depend
        on the engine.
        """
        return digest_arrays(
            self.content_digests(split) for split in sorted(self.num_images)
        )

    def image_ids(self, split: str) -> tuple[str, ...]:
        """Returns the ids of a split in row order."""
        return self._read_split(split).image_ids

    def _read_split(self, split: str) -> Rows:
        """Reads a split once; what is read stays in memory."""
        if split not in self._splits:
            blocks = list(read_blocks(self.path, split))
            features = np.concatenate([b.features for b in blocks])
            ids = np.concatenate([b.image_ids for b in blocks])
            self._splits[split] = Rows(
                features=features.astype(np.float32, copy=False),
                labels=np.concatenate([b.labels for b in blocks]),
                image_ids=tuple(np.char.decode(ids, "utf-8").tolist()),
            )
        return self._splits[split]


def write_cache(
    path: Path,
    *,
    spec: CacheSpec,
    provenance: Provenance,
    splits: dict[str, Callable[[], Iterator[StoredBlock]]],
) -> None:
    """Writes a cache beside `path`, then moves it there.

    Args:
        path: Final path; what is there stays until the new file is whole.
        spec: What the rows are determined by.
        provenance: How they came about.
        splits: By split a function that yields its rows, in order, in pieces
            of any length.
    """
    part = path.with_name(path.name + ".part")
    try:
        with h5py.File(part, "w", libver="latest") as file:
            file.attrs["spec"] = np.bytes_(spec.to_json().encode())
            file.attrs["fingerprint"] = np.bytes_(spec.fingerprint().encode())
            file.attrs["provenance"] = np.bytes_(
                provenance.model_dump_json().encode()
            )
            for split, pieces in splits.items():
                _write_split(file.create_group(split), pieces)
        with part.open("rb") as file_on_disk:
            os.fsync(file_on_disk.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def open_cache(path: Path) -> FeatureCache:
    """Opens the cache at `path`.

    Raises:
        MissingArtifactError: If there is none.
        CorruptCacheError: If it is no whole cache.
        StaleCacheError: If it is of another schema.
    """
    if not path.is_file():
        raise MissingArtifactError(
            f"There is no cache at {path}. Expected: an HDF5 file. Build one "
            f"with `{BUILD_COMMAND}`."
        )
    try:
        with h5py.File(path, "r") as file:
            spec_json, fingerprint, provenance_json = (
                bytes(file.attrs[name]).decode()
                for name in ("spec", "fingerprint", "provenance")
            )
            shapes = {
                split: group["features"].shape for split, group in file.items()
            }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, f"{type(error).__name__}: {error}") from error
    _require_schema(path, spec_json)
    try:
        spec = CacheSpec.model_validate_json(spec_json)
        provenance = Provenance.model_validate_json(provenance_json)
    except pydantic.ValidationError as error:
        raise _corrupt(path, str(error)) from error
    if spec.fingerprint() != fingerprint:
        raise _corrupt(path, f"fingerprint {spec.fingerprint()} of its spec")
    if not set(spec.splits) <= set(shapes):
        raise _corrupt(path, f"the splits {sorted(shapes)}")
    return FeatureCache(
        path=path,
        spec=spec,
        provenance=provenance,
        num_images={split: shapes[split][0] for split in spec.splits},
        feature_dim=next(iter(shapes.values()))[2],
    )


def _write_split(
    group: Any, pieces: Callable[[], Iterator[StoredBlock]]
) -> None:
    """Writes the rows of one split, and a digest per block of them."""
    digests = []
    pending: StoredBlock | None = None
    for piece in pieces():
        pending = piece if pending is None else pending.join(piece)
        while len(pending.labels) > BLOCK_ROWS:
            digests.append(_append(group, pending.cut(0, BLOCK_ROWS)))
            pending = pending.cut(BLOCK_ROWS)
    if pending is not None:
        digests.append(_append(group, pending))
    group["block_digests"] = np.stack(digests)


def _append(group: Any, block: StoredBlock) -> np.ndarray:
    for name, rows in vars(block).items():
        if name not in group:
            group.create_dataset(
                name,
                shape=(0, *rows.shape[1:]),
                maxshape=(None, *rows.shape[1:]),
                chunks=(BLOCK_ROWS, *rows.shape[1:]),
                dtype=_stored_dtype(rows.dtype),
                fletcher32=True,
            )
        dataset = group[name]
        if rows.dtype.itemsize > dataset.dtype.itemsize:
            raise ValueError(
                f"Expected {name} no wider than {dataset.dtype}, as in the "
                f"first rows of the split. Received: {rows.dtype}."
            )
        start = dataset.shape[0]
        dataset.resize(start + len(rows), axis=0)
        dataset[start:] = rows.astype(dataset.dtype)
    return block.digest()


def _stored_dtype(dtype: np.dtype) -> Any:
    if dtype.kind == "S":
        return h5py.string_dtype("utf-8", dtype.itemsize)
    return dtype


def read_blocks(path: Path, split: str) -> Iterator[StoredBlock]:
    """Yields the blocks of a split, each checked against its digest."""
    try:
        with h5py.File(path, "r") as file:
            group = file[split]
            digests = group["block_digests"][:]
            num_blocks = -(-len(group["labels"]) // BLOCK_ROWS)
            if len(digests) != num_blocks:
                raise _corrupt(
                    path, f"{len(digests)} of {num_blocks} digests of {split}"
                )
            for number, expected in enumerate(digests):
                start, stop = number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS
                block = StoredBlock(
                    **{
                        field.name: group[field.name][start:stop]
                        for field in dataclasses.fields(StoredBlock)
                    }
                )
                if not np.array_equal(block.digest(), expected):
                    raise _corrupt(
                        path, f"other bytes in block {number} of {split}"
                    )
                yield block
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, CorruptCacheError):
            raise
        raise _corrupt(path, f"{type(error).__name__}: {error}") from error


def _require_schema(path: Path, spec_json: str) -> None:
    try:
        found = pydantic.TypeAdapter(dict[str, Any]).validate_json(spec_json)
    except pydantic.ValidationError as error:
        raise _corrupt(path, str(error)) from error
    if found.get("schema_version") != SCHEMA:
        raise StaleCacheError(
            f"The cache {path} is of another layout. Expected: "
            f"schema_version={SCHEMA}. Received: schema_version="
            f"{found.get('schema_version')}. Rebuild it with `{BUILD_COMMAND} "
            "--overwrite`."
        )


def _corrupt(path: Path, received: str) -> CorruptCacheError:
    return CorruptCacheError(
        f"The cache {path} is corrupt. Expected: a whole feature cache, every "
        f"block with its digest. Received: {received}. Build it again with "
        f"`{BUILD_COMMAND} --overwrite`."
    )
