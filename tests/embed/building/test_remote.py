"""Tests for `embed.building.remote`; `tests/integration` has an S3 store."""

import itertools
import pickle
import threading
import uuid

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

import embed.building.remote
from embed.building.blocks import Block
from embed.building.blocks import BlockKey
from embed.building.blocks import read_block
from embed.building.blocks import write_block
from embed.building.remote import RemotePath
from embed.errors import StorageError
from tests.drawn_caches import files_in


class Shelf(LocalFileSystem):
    """A filesystem of this machine that counts as remote: no atomic put."""

    protocol = "shelf"
    is_full = False

    def pipe_file(self, path, value, **options):
        """Writes a file, or the half of it when the disk is full."""
        if Shelf.is_full:
            super().pipe_file(path, value[: len(value) // 2])
            raise OSError("no room at https://me:secret@host/a?token=secret")
        super().pipe_file(path, value)


class Crossing(LocalFileSystem):
    """A filesystem on which somebody else writes the same file meanwhile."""

    protocol = "crossing"
    cross = None

    def pipe_file(self, path, value, **options):
        """Writes a file; first, once, whatever another writes."""
        super().pipe_file(path, value, **options)
        cross, Crossing.cross = Crossing.cross, None
        if cross:
            cross()


class Silent(MemoryFileSystem):
    """A store that never answers."""

    protocol = "silent"
    is_over = threading.Event()

    def ls(self, path, detail=True, **options):
        """Waits until the test is over."""
        self.is_over.wait()
        return []


fsspec.register_implementation("shelf", Shelf)
fsspec.register_implementation("crossing", Crossing)
fsspec.register_implementation("silent", Silent)


@pytest.fixture(name="folder", params=["memory", "shelf"])
def _folder(request, tmp_path):
    """A folder of an object store, and one of a filesystem."""
    if request.param == "memory":
        return RemotePath(f"memory://{uuid.uuid4()}/a")
    return RemotePath(f"shelf://{tmp_path}/a")


def draw_block():
    """Returns a block of three rows."""
    return Block(
        image_ids=np.array([b"a", b"b", b"c"]),
        features=np.arange(12, dtype=np.float32).reshape(3, 2, 2),
        content_digests=np.ones((3, 32), np.uint8),
        is_oriented=np.zeros(3, bool),
        stamps=np.full((3, 3), -1),
    )


def names_in(folder):
    """Returns the names of what lies in a folder."""
    return [path.name for path in folder.glob("*")]


def test_a_path_is_put_together_and_taken_apart():
    """As with `pathlib`, whose paths stand in the same places."""
    path = RemotePath("s3://bucket/a") / "train" / "0.npz"

    assert str(path) == "s3://bucket/a/train/0.npz"
    assert path.name == "0.npz"
    assert path.parent.parent == RemotePath("s3://bucket/a")
    assert path.scheme == "s3"


def test_blocks_come_back_from_where_they_were_put(folder):
    """By the same two calls, also after the path was sent elsewhere."""
    key = BlockKey("train", 3, 768, 771)
    sent = pickle.loads(pickle.dumps(folder))  # noqa: S301  Our own.
    write_block(draw_block(), key.path_in(sent))

    found = read_block(key.path_in(folder))

    np.testing.assert_array_equal(found.features, draw_block().features)
    assert names_in(folder) == ["train"]
    assert names_in(folder / "train") == ["00000003.npz"]


def test_a_block_takes_the_place_of_another(folder):
    """Whole: there is one of them afterwards, and no half."""
    path = folder / "train" / "00000000.npz"
    write_block(draw_block(), path)
    write_block(draw_block().take(np.array([1])), path)

    assert read_block(path).image_ids.tolist() == [b"b"]
    assert names_in(folder / "train") == ["00000000.npz"]


def test_what_is_absent_or_damaged_is_no_block(folder):
    """Whatever was cut off of it, it is computed again and not believed."""
    path = folder / "train" / "00000000.npz"
    write_block(draw_block(), path)
    data = path.read_bytes()
    cuts = [0, 1, len(data) // 2, len(data) - 1]
    damaged = [data[:cut] for cut in cuts]
    middle = data.index(draw_block().features.tobytes())
    damaged.append(data[:middle] + b"x" + data[middle + 1 :])

    assert read_block(folder / "train" / "00000001.npz") is None
    for content in damaged:
        path.write_bytes(content)
        assert read_block(path) is None


def test_an_empty_folder_holds_nothing(folder):
    """A folder of a store is there when something is in it."""
    assert folder.glob("*") == []
    assert (folder / "train").glob("*.npz") == []


def test_names_are_found_by_their_pattern(folder):
    """Sorted, and of this folder alone."""
    for name in ("b.npz", "a.npz", "a.txt"):
        (folder / name).write_bytes(b"")
    (folder / "c" / "d.npz").write_bytes(b"")

    assert [path.name for path in folder.glob("*.npz")] == ["a.npz", "b.npz"]
    assert folder.glob("a.npz") == [folder / "a.npz"]


def test_only_what_is_named_is_removed(folder):
    """A folder goes when nothing is left in it."""
    paths = [folder / a / b for a, b in itertools.product("xy", "12")]
    for path in paths:
        path.write_bytes(b"1")

    folder.remove(paths[:3])

    assert paths[3].read_bytes() == b"1"
    assert names_in(folder) == ["y"]
    folder.remove(paths[3:])
    assert folder.glob("*") == []


def test_a_place_that_can_be_used_is_left_as_it_was(folder):
    """What was written to find that out is removed again."""
    (folder / "mine.txt").write_bytes(b"precious")

    folder.require_usable()

    assert names_in(folder) == ["mine.txt"]


def test_an_empty_folder_is_not_removed_by_trying_it(tmp_path):
    """It is its owner's, also where nothing is in it."""
    (tmp_path / "mine").mkdir()

    RemotePath(f"shelf://{tmp_path}/mine").require_usable()

    assert files_in(tmp_path / "mine") == []


def test_two_may_write_a_block_where_nothing_is_put_whole(
    tmp_path, monkeypatch
):
    """A worker that was taken for dead and the next: one of them is last."""
    path = RemotePath(f"crossing://{tmp_path}/a/00000000.npz")
    other = draw_block().take(np.array([1]))
    monkeypatch.setattr(Crossing, "cross", lambda: write_block(other, path))

    write_block(draw_block(), path)

    assert len(read_block(path)) == 3
    assert names_in(path.parent) == ["00000000.npz"]


def test_a_write_that_fails_leaves_the_file_of_before(tmp_path, monkeypatch):
    """What is told about it carries no password."""
    path = RemotePath(f"shelf://{tmp_path}/a/train/00000000.npz")
    write_block(draw_block(), path)
    monkeypatch.setattr(Shelf, "is_full", True)

    with pytest.raises(
        StorageError, match=r"cannot be written.*`--blocks`"
    ) as caught:
        write_block(draw_block().take(np.array([1])), path)

    assert "secret" not in str(caught.value)
    assert len(read_block(path)) == 3
    assert names_in(path.parent) == ["00000000.npz"]


def test_a_store_that_never_answers_is_given_up(monkeypatch):
    """Libraries may try for minutes: the check does not wait for them."""
    monkeypatch.setattr(embed.building.remote, "PROBE_SECONDS", 0.1)

    with pytest.raises(StorageError, match=r"does not answer.*in 0\.1 s"):
        RemotePath("silent://there").require_usable()

    Silent.is_over.set()
