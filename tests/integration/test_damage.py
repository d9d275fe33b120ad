"""No damage of a cache goes unseen: never is a wrong vector used."""

import itertools
import os
import random
import time

import h5py
import keras
import numpy as np
import pytest

from embed.building.blocks import BLOCK_ROWS
from embed.cache import open_cache
from embed.cache import open_damaged
from embed.console import Console
from embed.errors import CorruptCacheError
from embed.errors import MissingArtifactError
from embed.errors import StaleCacheError
from embed.extract import build_cache
from embed.splits import Selection
from embed.storage.hdf5 import PAGE_BYTES
from embed.upkeep.repair import repair_cache
from embed.upkeep.verify import verify_cache
from tests.children import run_forked
from tests.drawn_caches import COLUMNS
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import change_bytes
from tests.drawn_caches import place_of
from tests.drawn_caches import read_datasets
from tests.noise_pictures import request_of
from tests.noise_pictures import write_noise

NUM_PICTURES = {"num_train": 140, "num_test": 20}  # Of each class: 3 blocks.
SPLITS = ("train", "test")
QUIET = Console(is_quiet=True)
START, END = "the seal at its start", "the seal at its end"
STRUCTURE = "another HDF5 structure than was written"
PARTS = [f"{split}/{name}" for split in SPLITS for name in COLUMNS]
PARTS += [START, STRUCTURE, END]
NUM_FLIPS, NUM_REPAIRS = 1000, 64
NUM_FUZZED = 500
MAX_SECONDS = 10  # To refuse a file, whatever it holds.
REFUSALS = (CorruptCacheError, StaleCacheError, MissingArtifactError)


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory, tiny_module_dir):
    """A cache of pictures that are still there, never to be written to."""
    folder = tmp_path_factory.mktemp("damage")
    write_noise(folder / "pictures", **NUM_PICTURES)
    request = request_of(folder / "pictures", tiny_module_dir)
    return build_cache(request, artifacts_dir=folder / "artifacts").cache


@pytest.fixture(name="original", scope="module")
def _original(built):
    """Its datasets."""
    return read_datasets(built.path)


@pytest.fixture(name="parts", scope="module")
def _parts(built):
    return parts_of(built.seal)


@pytest.fixture(name="damaged")
def _damaged(built, tmp_path):
    """Writes a copy of the cache, or other bytes, to be damaged."""

    def write(data=None):
        path = tmp_path / "damaged.h5"
        path.write_bytes(built.path.read_bytes() if data is None else data)
        return path

    return write


@pytest.fixture(name="foreign", scope="module")
def _foreign(tmp_path_factory):
    """By kind the bytes of files that are no caches."""
    folder = tmp_path_factory.mktemp("foreign")
    with h5py.File(folder / "some.h5", "w") as file:
        file["train/features"] = np.zeros((300, 2, 4), np.float32)
        file["train/labels"] = np.arange(300)
        file.attrs["spec"] = "{}"
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.save_weights(folder / "some.weights.h5")
    return {
        "empty": b"",
        "text": b"These are not the rows you are looking for.\n" * 200,
        "HDF5": (folder / "some.h5").read_bytes(),
        "weights": (folder / "some.weights.h5").read_bytes(),
    }


def test_the_parts_are_the_whole_file(built, parts):
    """Every byte is of one part: none is out of the reach of these tests."""
    places = sorted(place for of_part in parts.values() for place in of_part)

    assert places[0][0] == 0
    assert places[-1][1] == built.path.stat().st_size
    assert all(a[1] == b[0] for a, b in itertools.pairwise(places))
    assert parts.keys() == set(PARTS)


def test_any_flipped_byte_is_seen(damaged, original):
    """A reading refuses or is right, and `verify` says where the damage is."""
    path = damaged()

    for name, place, flip in draw_flips(path, NUM_FLIPS):
        change_bytes(path, place, place + 1, flip)
        is_read = reads_right(path, original)
        found = verify_cache(path, num_sampled=0, console=QUIET)
        change_bytes(path, place, place + 1, flip)

        assert is_read == (name in (START, END)), (name, place)
        assert_names(found, name, place)
    assert verify_cache(path, num_sampled=0, console=QUIET).is_ok


@pytest.mark.slow
def test_any_flipped_byte_is_repaired(damaged, original):
    """In each column, in the structure and in both seals, bit by bit."""
    path = damaged()

    for name, place, flip in draw_flips(path, NUM_REPAIRS):
        change_bytes(path, place, place + 1, flip)
        found = verify_cache(path, num_sampled=0, console=QUIET)
        done = repair_cache(found, console=QUIET)

        assert done.num_rows == done.num_identical + (
            name.endswith("row_digests")  # The digest itself was another.
        )
        assert done.num_computed == 2 * done.num_rows
        assert done.num_rows == (name in original), name
        assert_equal_datasets(read_datasets(path), original)
        assert verify_cache(path, num_sampled=2, console=QUIET).is_ok


@pytest.mark.parametrize("num_bytes", [1, PAGE_BYTES, 2 * PAGE_BYTES])
def test_zeroed_ranges(damaged, original, parts, num_bytes):
    """A page that a disk lost is seen, named and computed again."""
    column = parts["train/features"][0]
    path = damaged()
    change_bytes(path, column[0], column[0] + num_bytes, zeros)

    assert not reads_right(path, original)
    found = verify_cache(path, num_sampled=0, console=QUIET)
    repair_cache(found, console=QUIET)

    assert [(b.split, b.block) for b in found.bad_blocks] == [("train", 0)]
    assert_equal_datasets(read_datasets(path), original)


def test_a_zeroed_block(built, damaged, original):
    """All columns of a block of rows may be lost: 256 rows are computed."""
    path = damaged()
    for column in built.seal.columns["train"].values():
        change_bytes(path, *place_of(column, 0, BLOCK_ROWS - 1), zeros)

    assert not reads_right(path, original)
    found = verify_cache(path, num_sampled=0, console=QUIET)
    done = repair_cache(found, console=QUIET)

    (block,) = found.bad_blocks
    assert (block.split, block.block) == ("train", 0)
    assert block.rows == tuple(range(BLOCK_ROWS))
    assert done.num_computed == 2 * BLOCK_ROWS
    assert_equal_datasets(read_datasets(path), original)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("train/labels", [1, 1, 0, 0]),
        ("test/labels", [7]),
        ("train/image_ids", [b"dog/0000.png", b"cat/0000.png"]),
        ("train/image_ids", [b"\xff\xfe"]),
        ("train/content_digests", np.zeros((3, 32), np.uint8)),
        ("train/is_oriented", [1]),
        ("train/features", np.full((1, 2, 4), np.nan, np.float32)),
    ],
)
def test_changes_by_another_program(damaged, original, name, values):
    """What was edited through HDF5 is no longer what was written."""
    path = damaged()
    with h5py.File(path, "r+") as file:
        file[name][: len(values)] = values

    assert not reads_right(path, original)
    found = verify_cache(path, num_sampled=0, console=QUIET)
    repair_cache(found, console=QUIET)

    assert name.partition("/")[0] in {b.split for b in found.bad_blocks}
    assert_equal_datasets(read_datasets(path), original)


def test_rows_that_change_places(damaged, original):
    """Whole rows, digests and all, that stand elsewhere are not taken."""
    path = damaged()
    with h5py.File(path, "r+") as file:
        for column in COLUMNS:
            dataset = file[f"train/{column}"]
            dataset[3:5] = dataset[3:5][::-1]

    assert not reads_right(path, original)
    (block,) = verify_cache(path, num_sampled=0, console=QUIET).bad_blocks

    assert block.rows == (3, 4)


def test_truncated_at_40_places(built, damaged, original):
    """No part of a cache passes for a cache; what is left of it is kept."""
    data = built.path.read_bytes()
    places = np.linspace(0, len(data) - 1, 40).astype(int)

    for place in places.tolist():
        path = damaged(data[:place])
        if place < built.seal.body_stop:
            with pytest.raises(CorruptCacheError):
                open_cache(path)
        else:  # The seal at the end is missing, and the one at the start not.
            assert reads_right(path, original)
        if place > len(built.seal.at_start()):
            found = verify_cache(path, num_sampled=0, console=QUIET)
            assert END in found.faults
    found = verify_cache(damaged(data[: len(data) // 2]), console=QUIET)
    repair_cache(found, console=QUIET)
    assert_equal_datasets(read_datasets(found.cache.path), original)


def test_damage_while_a_cache_is_open(built, damaged):
    """Rows that were checked before are checked again once it was written."""
    features = built.seal.columns["train"]["features"]
    for change in (
        lambda path: change_bytes(path, *place_of(features, 9, 9), invert),
        lambda path: os.truncate(path, features.offset + 1),
    ):
        path = damaged()
        cache = open_cache(path)
        cache.take(Selection("train"))
        cache.take(Selection("train"), is_trusted=True)
        change(path)

        with pytest.raises(CorruptCacheError, match=r"row [09]"):
            cache.take(Selection("train"), is_trusted=True)


@pytest.mark.parametrize("kind", ["empty", "text", "HDF5", "weights"])
def test_files_that_are_no_caches(damaged, foreign, kind):
    """They are refused by `open_cache` and `verify_cache`, and say why."""
    path = damaged(foreign[kind])

    for read in (open_cache, open_damaged):
        with pytest.raises(CorruptCacheError, match="build-cache --overwrite"):
            read(path)
    with pytest.raises(CorruptCacheError, match="Received: "):
        verify_cache(path, console=QUIET)


def test_fuzzed_files(built, damaged, original, foreign):
    """Whatever bytes a file holds: an error of ours or right rows, in time."""
    whole = built.path.read_bytes()
    rng = np.random.default_rng(0)
    slowest = num_read = 0

    for number in range(NUM_FUZZED):
        base = foreign["HDF5"] if number % 10 == 0 else whole
        data = mutate(base, number, rng)  # A splice of spaces is none.
        path = damaged(data)
        began = time.monotonic()
        num_read += reads_right(path, original)
        try:
            found = verify_cache(path, num_sampled=0, console=QUIET)
        except REFUSALS:
            pass
        else:
            assert data == whole or not found.is_ok, number
        slowest = max(slowest, time.monotonic() - began)

    assert slowest < MAX_SECONDS
    assert num_read < NUM_FUZZED / 2


@pytest.mark.parametrize("damage", ["labels", "structure", "half", "text"])
@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("embed", ["info"]),
        ("embed", ["verify"]),
        ("head", ["train", "--cache"]),
    ],
)
def test_commands_on_damage(
    damaged, parts, foreign, tmp_path, package, arguments, damage
):
    """They leave with exit code 1 and one line that says what to run."""
    path = damaged(foreign["text"] if damage == "text" else None)
    if damage == "half":
        path = damaged(path.read_bytes()[: path.stat().st_size // 2])
    name = {"labels": "train/labels", "structure": STRUCTURE}.get(damage)
    if name:
        change_bytes(path, *parts[name][0], invert)

    done = run_forked(*arguments, path, "-q", package=package, cwd=tmp_path)

    if damage == "labels" and arguments == ["info"]:  # It reads no row.
        assert done.returncode == 0
        return
    assert done.returncode == 1
    assert done.stderr.startswith("error: The cache ")
    assert done.stderr.count("\n") == 1
    advice = "Move it away" if damage == "text" else "python -m embed verify"
    assert advice in done.stderr


def parts_of(seal):
    """Returns by name of each part of a file its bytes, `(start, stop)`s."""
    columns = {
        f"{split}/{name}": [place_of(column, 0, column.shape[0] - 1)]
        for split, of_split in seal.columns.items()
        for name, column in of_split.items()
    }
    bounds = [
        len(seal.at_start()),
        *itertools.chain(*sorted(place for (place,) in columns.values())),
        seal.body_stop,
    ]
    between = zip(bounds[::2], bounds[1::2], strict=True)
    return {
        **columns,
        START: [(0, len(seal.at_start()))],
        STRUCTURE: [(start, stop) for start, stop in between if start < stop],
        END: [(seal.body_stop, seal.num_bytes)],
    }


def draw_flips(path, number):
    """Yields a part, a place in it and what changes that byte and back.

    Each part comes in turn, however small it is, as the file is then: one
    that was repaired may be laid out otherwise.
    """
    rng = random.Random(0)  # noqa: S311  No secret.
    for name in itertools.islice(itertools.cycle(PARTS), number):
        start, stop = rng.choice(parts_of(open_cache(path).seal)[name])
        mask = rng.randrange(1, 256)
        yield (
            name,
            rng.randrange(start, stop),
            lambda data, mask=mask: bytes([data[0] ^ mask]),
        )


def reads_right(path, original):
    """Reads all rows; tells whether they were read, and then they are right.

    Any other error than those of a cache that cannot be used goes through.
    """
    try:
        cache = open_cache(path)
        rows = {split: cache.take(Selection(split)) for split in SPLITS}
    except REFUSALS:
        return False
    for split, found in rows.items():
        expected = original[f"{split}/features"]
        assert found.features.tobytes() == expected.tobytes()
        assert found.labels.tobytes() == original[f"{split}/labels"].tobytes()
        ids = [i.decode() for i in original[f"{split}/image_ids"].tolist()]
        assert list(found.image_ids) == ids
    return True


def assert_names(found, name, place):
    """A verification names the part, and the row that a byte belongs to."""
    assert not found.is_ok
    split, _, column_name = name.partition("/")
    if not column_name:
        assert (found.faults, found.bad_blocks) == ((name,), ())
        return
    column = found.cache.seal.columns[split][column_name]
    row = (place - column.offset) // column.row_bytes
    (block,) = found.bad_blocks
    assert (block.split, block.rows) == (split, (row,))
    assert block.block == row // BLOCK_ROWS
    assert found.faults == ()


def mutate(data, number, rng):
    """Returns bytes damaged in one of seven ways, by number."""
    first, second = sorted(rng.integers(0, len(data), 2).tolist())
    noise = rng.bytes(int(rng.integers(1, 200)))
    changed = bytearray(data)
    match number % 7:
        case 0:  # Noise over many bytes, here and there.
            places = rng.integers(0, len(data), 300)
            values = np.frombuffer(rng.bytes(300), np.uint8)
            for place, value in zip(places.tolist(), values, strict=True):
                changed[place] = value
        case 1:  # A splice of another place.
            length = min(second - first + 1, 5000)
            changed[first : first + length] = data[second : second + length]
        case 2:
            del changed[first : first + len(noise)]
        case 3:
            changed[first:first] = noise
        case 4:
            del changed[first:]
        case 5:  # Bits of the first page, where HDF5 files have their start.
            for place in rng.integers(0, min(4096, len(data)), 8).tolist():
                changed[place] ^= 1 << int(rng.integers(8))
        case 6:  # Noise in one piece.
            changed[first : first + len(noise)] = noise
    return bytes(changed)


def invert(data):
    """Returns every bit as the other."""
    return bytes(byte ^ 0xFF for byte in data)


def zeros(data):
    """Returns as many zeros."""
    return bytes(len(data))
