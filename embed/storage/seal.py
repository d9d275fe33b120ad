"""The seal: what a cache file says of itself, outside HDF5, and says twice.

A seal holds the spec, the provenance, the place of every column and a digest
of all bytes of the file that are neither a column nor a seal. It stands at the
start of the file, in the space that HDF5 leaves to its user, and again behind
its end, so that no single damage takes both:

    at the start   MAGIC, length (8 bytes), SHA-256 of the text, JSON text
    at the end     JSON text, SHA-256 of the text, length (8 bytes), MAGIC

The text ends in as many spaces as fill the space that HDF5 leaves.

It is read before anything else of a file is believed. Where features are in
files of their own, the seal says the same of each of these.
"""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pydantic

from embed.errors import CorruptCacheError
from embed.errors import MissingArtifactError
from embed.errors import StaleCacheError
from embed.provenance import Provenance
from embed.rows import DIGEST_BYTES
from embed.spec import SCHEMA
from embed.spec import CacheSpec
from embed.storage.hdf5 import Column
from embed.storage.parts import FEATURES
from embed.storage.parts import PartedFeatures
from embed.storage.pieces import read_pieces
from embed.storage.pieces import read_some

BUILD_COMMAND = "python -m embed build-cache"
# Of a cache in parts: a program that knows none has to say so. The spec keeps
# its own, since the rows are the same.
SCHEMA_OF_PARTS = 3
MAGIC = b"\x93HEADSTART CACHE\n"  # 17 bytes; the first is no text's.
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
LENGTH_BYTES = 8
FRAME_BYTES = len(MAGIC) + LENGTH_BYTES + DIGEST_BYTES
TOO_MANY = (errno.EMFILE, errno.ENFILE)  # Files are open.
PLACES_BYTES = 4096  # Room for what is known once the file is laid out.


class Seal(pydantic.BaseModel, frozen=True, extra="forbid"):
    """What a cache file says of itself.

    Args:
        schema_version: Layout of the file.
        spec: What its rows are determined by.
        provenance: How it came about.
        columns: By split and name where each column lies.
        index_digests: By split the SHA-256 of all columns but the features,
            hexadecimal.
        body_start: First byte that HDF5 knows of; the seal fills all before.
        body_stop: Byte after the last that HDF5 knows of.
        structure_digest: SHA-256 of all bytes between the two that are no
            column, hexadecimal.
        parted: Where the features are, if they are in files of their own.
    """

    schema_version: int = SCHEMA
    spec: CacheSpec
    provenance: Provenance
    columns: dict[str, dict[str, Column]]
    index_digests: dict[str, str]
    body_start: int
    body_stop: int
    structure_digest: str
    parted: PartedFeatures | None = None

    def shape_of(self, split: str) -> tuple[int, ...]:
        """Returns `(num_images, num_views, feature_dim)` of a split."""
        if self.parted is not None:
            return self.parted.columns[split].shape
        return self.columns[split][FEATURES].shape

    def at_start(self) -> bytes:
        """Returns the copy for the start of the file."""
        text, digest, length = self._parts()
        return MAGIC + length + digest + text

    def at_end(self) -> bytes:
        """Returns the copy for the end of the file."""
        text, digest, length = self._parts()
        return text + digest + length + MAGIC

    def _parts(self) -> tuple[bytes, bytes, bytes]:
        # A single file says nothing of parts, as it did before there were any.
        unused = {"parted"} if self.parted is None else None
        text = self.model_dump_json(exclude=unused).encode()
        text = text.ljust(self.body_start - FRAME_BYTES)  # JSON allows it.
        length = len(text).to_bytes(LENGTH_BYTES, "little")
        return text, hashlib.sha256(text).digest(), length

    @property
    def num_bytes(self) -> int:
        """Length of the whole file."""
        return self.body_stop + len(self.at_end())

    def digest_structure(self, descriptor: int) -> str:
        """Returns what `structure_digest` should be, from an open file."""
        digest = hashlib.sha256()
        start = self.body_start
        for place in [*self._places(), (self.body_stop, self.body_stop)]:
            for piece in read_pieces(descriptor, start, place[0]):
                digest.update(piece)
            start = place[1]
        return digest.hexdigest()

    def _places(self) -> list[tuple[int, int]]:
        """Returns first byte and byte after the last of every column."""
        return sorted(
            (column.offset, column.offset + column.num_bytes)
            for of_split in self.columns.values()
            for column in of_split.values()
        )


def reserve_bytes(
    spec: CacheSpec,
    provenance: Provenance,
    parted: PartedFeatures | None = None,
) -> int:
    """Returns how much space to leave for a seal at the start of a file.

    HDF5 wants a power of two.
    """
    needed = FRAME_BYTES + PLACES_BYTES + len(spec.to_json().encode())
    needed += len(provenance.model_dump_json().encode())
    needed += len(parted.model_dump_json().encode()) if parted else 0
    return 1 << (needed - 1).bit_length()


def read_seal(descriptor: int, path: Path) -> tuple[Seal, list[str]]:
    """Reads the seal of an open file, from whichever copy is whole.

    Args:
        descriptor: Of the open file.
        path: Its name, for the errors.

    Returns:
        The seal, and which of its two copies are damaged, in words.

    Raises:
        CorruptCacheError: If neither copy is whole.
        StaleCacheError: If the file is of another layout.
    """
    copies = {
        "the seal at its start": _read_start(descriptor),
        "the seal at its end": _read_end(descriptor),
    }
    whole = [text for text in copies.values() if text is not None]
    if not whole:
        raise corrupt(path, _describe(descriptor), has_seal=False)
    _require_schema(path, whole[0])
    try:
        seal = Seal.model_validate_json(whole[0])
    except pydantic.ValidationError as error:
        received = f"a seal with {error.error_count()} senseless fields"
        raise corrupt(path, received, has_seal=False) from error
    return seal, [n for n, text in copies.items() if text != whole[0]]


def corrupt(
    path: Path, received: str, *, has_seal: bool = True
) -> CorruptCacheError:
    """Returns the error for a cache that is not what was written."""
    repair = f"Repair it with `python -m embed verify {path} --repair`, or "
    return CorruptCacheError(
        f"The cache {path} is corrupt. Expected: a whole feature cache, every "
        f"row with its digest. Received: {received}. "
        f"{repair if has_seal else 'Move it away, or '}build it again with "
        f"`{BUILD_COMMAND} --overwrite` and the same options."
    )


def unopened(subject: str, error: OSError) -> MissingArtifactError:
    """Returns the error for a file of a cache that the system keeps shut.

    Args:
        subject: What it is, e.g. `"The cache a.h5"`.
        error: What the system says.
    """
    advice = f"Make it readable, or build a cache with `{BUILD_COMMAND}`."
    if error.errno in TOO_MANY:
        advice = "Allow more open files with `ulimit -n`, and try again."
    return MissingArtifactError(
        f"{subject} cannot be opened: {error.strerror}. Expected: one that "
        f"can be read. {advice}"
    )


def _read_start(descriptor: int) -> bytes | None:
    head = read_some(descriptor, FRAME_BYTES, 0)
    if not head.startswith(MAGIC):
        return None
    length, digest = head[len(MAGIC) :][:LENGTH_BYTES], head[-DIGEST_BYTES:]
    return _checked(
        descriptor, FRAME_BYTES, int.from_bytes(length, "little"), digest
    )


def _read_end(descriptor: int) -> bytes | None:
    start = os.fstat(descriptor).st_size - FRAME_BYTES
    tail = read_some(descriptor, FRAME_BYTES, max(start, 0))
    if start < 0 or not tail.endswith(MAGIC):
        return None
    digest, length = tail[:DIGEST_BYTES], tail[DIGEST_BYTES:][:LENGTH_BYTES]
    num_bytes = int.from_bytes(length, "little")
    return _checked(descriptor, start - num_bytes, num_bytes, digest)


def _checked(
    descriptor: int, start: int, num_bytes: int, digest: bytes
) -> bytes | None:
    """Returns the text of a seal if it is what was written."""
    if start < 0 or num_bytes > os.fstat(descriptor).st_size:
        return None
    text = b"".join(read_pieces(descriptor, start, start + num_bytes))
    return text if hashlib.sha256(text).digest() == digest else None


def _require_schema(path: Path, text: bytes) -> None:
    found = pydantic.TypeAdapter(dict[str, Any]).validate_json(text)
    if found.get("schema_version") not in (SCHEMA, SCHEMA_OF_PARTS):
        raise StaleCacheError(
            f"The cache {path} is of another layout. Expected: "
            f"schema_version={SCHEMA} or {SCHEMA_OF_PARTS}. Received: "
            f"schema_version="
            f"{found.get('schema_version')}. Rebuild it with `{BUILD_COMMAND} "
            "--overwrite`."
        )


def _describe(descriptor: int) -> str:
    """Says what a file without a seal looks like."""
    if not os.fstat(descriptor).st_size:
        return "an empty file"
    if read_some(descriptor, len(HDF5_MAGIC), 0) == HDF5_MAGIC:
        return "an HDF5 file of another program, or of an older version"
    return "a file without a seal, so one that is no cache or not whole"
