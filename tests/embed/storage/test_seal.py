"""Tests for `embed.storage.seal`."""

import hashlib
import json
import os

import pytest

from embed.cache import open_cache
from embed.errors import CorruptCacheError
from embed.errors import StaleCacheError
from embed.provenance import SkippedImage
from embed.spec import SCHEMA
from embed.splits import Selection
from embed.storage.pieces import read_pieces
from embed.storage.seal import DIGEST_BYTES
from embed.storage.seal import FRAME_BYTES
from embed.storage.seal import LENGTH_BYTES
from embed.storage.seal import MAGIC
from embed.storage.seal import SCHEMA_OF_PARTS
from embed.storage.seal import read_seal
from embed.storage.seal import reserve_bytes
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import change_bytes
from tests.drawn_caches import create_spec
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import write_drawn_cache

ADVICE = (
    r"Move it away, or build it again with `.*build-cache --overwrite` and "
    r"the same options\."
)
START, END = "the seal at its start", "the seal at its end"


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of 5 training and 2 test rows."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path, num_train=5, num_test=2)
    return path


def read(path):
    """Reads the seal of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_seal(descriptor, path)
    finally:
        os.close(descriptor)


def copies_of(path):
    """Returns where the two copies of a seal lie, as start and stop."""
    seal, _ = read(path)
    size = path.stat().st_size
    return {
        START: (0, len(seal.at_start())),
        END: (size - len(seal.at_end()), size),
    }


def write_seal_text(path, text):
    """Writes another text as both seals, with its right length and digest."""
    (_, start_stop), (end_start, _) = copies_of(path).values()
    length = len(text).to_bytes(LENGTH_BYTES, "little")
    digest = hashlib.sha256(text).digest()
    data = path.read_bytes()
    head = MAGIC + length + digest + text
    body = data[:end_start]
    path.write_bytes(
        head.ljust(start_stop, b"\0")
        + body[max(start_stop, len(head)) :]
        + text
        + digest
        + length
        + MAGIC
    )


def test_a_seal_says_what_was_written(path):
    """Spec, provenance, layout and the places of all columns."""
    seal, damaged = read(path)

    assert seal.spec == create_spec(5, 2)
    assert seal.provenance == PROVENANCE
    assert seal.schema_version == SCHEMA
    assert set(seal.columns) == set(seal.index_digests) == {"train", "test"}
    assert seal.num_bytes == path.stat().st_size
    assert damaged == []


def test_copies_are_framed_as_documented(path):
    """Another program finds text and digest by the module's table."""
    data = path.read_bytes()

    length = int.from_bytes(data[len(MAGIC) :][:LENGTH_BYTES], "little")
    text = data[FRAME_BYTES:][:length]

    digest = hashlib.sha256(text).digest()
    assert data.startswith(MAGIC)
    assert data[len(MAGIC) + LENGTH_BYTES :][:DIGEST_BYTES] == digest
    assert data.endswith(text + digest + data[len(MAGIC) :][:8] + MAGIC)
    assert json.loads(text)["schema_version"] == SCHEMA


@pytest.mark.parametrize("place", [START, END])
def test_either_copy_suffices(path, place):
    """Whatever bit of a copy is damaged, the other says all, and it is told."""
    expected, _ = read(path)
    whole = path.read_bytes()
    first, last = copies_of(path)[place]

    for position in range(first, last, 5):
        change_bytes(path, position, position + 1, flip_a_bit)
        seal, damaged = read(path)
        path.write_bytes(whole)

        assert seal == expected
        assert damaged == [place]


def test_two_damaged_copies_are_corrupt(path):
    """A file that does not say what it is is not guessed at."""
    for start, stop in copies_of(path).values():
        change_bytes(path, start, stop, flip_a_bit)

    with pytest.raises(CorruptCacheError, match=ADVICE):
        read(path)


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_truncated_file_keeps_its_first_copy(path, cut):
    """What was cut off is told; the places of the rows are still known."""
    expected, _ = read(path)
    os.truncate(path, path.stat().st_size - cut)

    seal, damaged = read(path)

    assert seal == expected
    assert damaged == [END]


@pytest.mark.parametrize("length", [0, 1, 16, 17, 56, 57, 58, 1000])
def test_short_files_are_corrupt(path, length):
    """Shorter than a seal, or than its frame: no crash, the same advice."""
    os.truncate(path, length)

    with pytest.raises(CorruptCacheError, match=ADVICE):
        read(path)


@pytest.mark.parametrize("value", [0, 2**31, 2**63, 2**64 - 1])
@pytest.mark.parametrize("place", [START, END])
def test_a_senseless_length_is_damage(path, place, value):
    """A length of exabytes is not allocated, nor read before the file."""
    expected, _ = read(path)
    first, last = copies_of(path)[place]
    start = first + len(MAGIC)
    if place == END:
        start = last - len(MAGIC) - LENGTH_BYTES
    length = value.to_bytes(LENGTH_BYTES, "little")

    change_bytes(path, start, start + LENGTH_BYTES, lambda _: length)

    assert read(path) == (expected, [place])


@pytest.mark.parametrize("schema", [0, 1, SCHEMA_OF_PARTS + 1])
def test_another_schema_is_stale(path, schema):
    """A cache in another layout is refused before its spec is read."""
    fields = {"schema_version": schema, "field_of_another_time": 1}
    write_seal_text(path, json.dumps(fields).encode())

    with pytest.raises(
        StaleCacheError,
        match=f"Received: schema_version={schema}. .*build-cache --overwrite",
    ):
        read(path)


def test_a_seal_without_sense_is_corrupt(path):
    """A whole seal that lacks what every cache has is no seal."""
    text = json.dumps({"schema_version": SCHEMA}).encode()
    write_seal_text(path, text)

    with pytest.raises(CorruptCacheError, match="build-cache --overwrite`"):
        read(path)


@pytest.mark.parametrize(
    ("data", "received"),
    [
        (b"", "an empty file"),
        (b"hello", "a file without a seal"),
        (b"\x89HDF\r\n\x1a\n" + bytes(999), "an HDF5 file of another program"),
    ],
)
def test_other_files_are_described(path, data, received):
    """The error says what there is instead of a cache."""
    path.write_bytes(data)

    with pytest.raises(CorruptCacheError, match=f"Received: {received}"):
        read(path)


def test_structure_digest_covers_all_but_columns_and_seals(path):
    """A flipped bit shows there exactly if it lies in neither."""
    seal, _ = read(path)
    places = [
        (column.offset, column.offset + column.num_bytes)
        for of_split in seal.columns.values()
        for column in of_split.values()
    ]
    places += copies_of(path).values()
    whole = path.read_bytes()

    for position in range(0, len(whole), 11):
        change_bytes(path, position, position + 1, flip_a_bit)
        descriptor = os.open(path, os.O_RDONLY)
        digest = seal.digest_structure(descriptor)
        os.close(descriptor)
        path.write_bytes(whole)

        is_elsewhere = any(a <= position < b for a, b in places)
        assert (digest == seal.structure_digest) == is_elsewhere


@pytest.mark.parametrize("num_skipped", [0, 30, 3000])
def test_a_seal_fits_into_its_reserve(tmp_path, num_skipped):
    """However many pictures were left out, the first copy has room."""
    skipped = [
        SkippedImage(split="train", image_id=f"é{n}", reason="empty")
        for n in range(num_skipped)
    ]
    provenance = PROVENANCE.model_copy(update={"skipped": tuple(skipped)})
    path = tmp_path / "cache.h5"
    write_drawn_cache(path, num_train=1, provenance=provenance)

    seal, damaged = read(path)

    assert damaged == []
    assert len(seal.at_start()) <= reserve_bytes(seal.spec, provenance)
    assert len(seal.provenance.skipped) == num_skipped


def test_pieces_end_where_the_file_does(path):
    """Bytes behind the end are none, not an endless read."""
    size = path.stat().st_size
    descriptor = os.open(path, os.O_RDONLY)

    data = b"".join(read_pieces(descriptor, 3, size + 10**9))

    os.close(descriptor)
    assert data == path.read_bytes()[3:]


def test_a_seal_with_a_field_less_is_as_good(path):
    """A later version may say more of itself; old caches stay whole."""
    text = path.read_bytes()[FRAME_BYTES:][: read(path)[0].body_start]
    facts = json.JSONDecoder().raw_decode(text.decode(errors="replace"))[0]
    del facts["provenance"]["attempts"]
    size = read(path)[0].body_start - FRAME_BYTES

    write_seal_text(path, json.dumps(facts).encode().ljust(size))

    assert open_cache(path).body_faults() == []
    assert len(open_cache(path).take(Selection("train"))) == 5
