"""Tests for `embed.storage.writer`."""

import contextlib
import dataclasses
import errno
import os
import resource
import signal
import time

import numpy as np
import pytest

from embed.cache import open_cache
from embed.splits import Selection
from embed.storage.writer import FeatureRows
from embed.storage.writer import write_cache
from tests.drawn_caches import FEATURE_DIM
from tests.drawn_caches import PART_BYTES
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import as_content
from tests.drawn_caches import assert_equal_datasets
from tests.drawn_caches import create_spec
from tests.drawn_caches import draw_rows
from tests.drawn_caches import files_in
from tests.drawn_caches import read_datasets
from tests.drawn_caches import write_drawn_cache


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of 300 training and 4 test rows."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path)
    return path


def write_contents(path, max_file_bytes=None, **contents):
    """Writes a cache of one or both splits, `SplitContent` by name."""
    write_cache(
        path,
        spec=create_spec(),
        provenance=PROVENANCE,
        feature_dim=FEATURE_DIM,
        splits=contents,
        max_file_bytes=max_file_bytes,
    )


@contextlib.contextmanager
def limit_file_size(num_bytes):
    """Lets no file of this process grow beyond so many bytes."""
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, old_limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
        signal.signal(signal.SIGXFSZ, old_handler)


def assert_untouched(path, before):
    """The old file is the cache, and nothing lies beside it."""
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before
    assert len(open_cache(path).take(Selection("train"))) == 300


def test_nothing_is_left_beside_the_cache(path):
    """No `.part` stays."""
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("cuts", [(7, 290), (0, 0, 300), range(1, 300)])
def test_equal_inputs_give_equal_datasets(path, tmp_path, cuts):
    """Pieces and provenance show in no dataset, the digests included."""
    other = tmp_path / "other.h5"
    provenance = PROVENANCE.model_copy(update={"host": "a much longer name"})

    write_drawn_cache(other, cuts=cuts, provenance=provenance)

    datasets = read_datasets(path)
    assert len(datasets) == 12
    assert_equal_datasets(datasets, read_datasets(other))


def test_equal_calls_give_equal_files(tmp_path):
    """With an equal provenance, and in one second, the files are equal.

    HDF5 keeps the second in which a group was made.
    """
    one, other = tmp_path / "one.h5", tmp_path / "other.h5"
    began, ended = 0, 1
    while began != ended:
        began = int(time.time())
        write_drawn_cache(one)
        write_drawn_cache(other)
        ended = int(time.time())

    assert one.read_bytes() == other.read_bytes()


def test_wider_dtypes_are_stored_as_the_spec_says(tmp_path):
    """float64 features, bool orientations and int64 labels fit the layout."""
    path = tmp_path / "cache.h5"
    rows = draw_rows(3)
    content = as_content(
        dataclasses.replace(
            rows,
            features=rows.features.astype(np.float64),
            labels=rows.labels.astype(np.int64),
        )
    )

    write_contents(path, train=content, test=content)

    datasets = read_datasets(path)
    assert datasets["train/features"].dtype == np.float32
    assert datasets["train/labels"].dtype == np.int32
    assert datasets["train/is_oriented"].dtype == np.uint8


def test_a_reader_that_fails_leaves_the_old_cache(path):
    """A crash while writing damages nothing and leaves nothing."""
    before = path.read_bytes()

    def read():
        rows = draw_rows(256)
        yield FeatureRows(rows.features, rows.content_digests, rows.is_oriented)
        raise RuntimeError("the disk is on fire")

    content = dataclasses.replace(as_content(draw_rows(300)), read=read)
    with pytest.raises(RuntimeError, match="fire"):
        write_contents(path, train=content)

    assert_untouched(path, before)


@pytest.mark.parametrize("num_read", [299, 301])
def test_too_few_or_too_many_rows_are_refused(path, num_read):
    """A cache is never written in which ids and features are not aligned."""
    before = path.read_bytes()
    content = dataclasses.replace(
        as_content(draw_rows(300)), read=as_content(draw_rows(num_read)).read
    )

    with pytest.raises(ValueError, match=r"300|row"):
        write_contents(path, train=content)

    assert_untouched(path, before)


def test_a_full_disk_is_found_before_any_row_is_read(path, monkeypatch):
    """Hours of work are not thrown away at the last row: the old file stays."""
    before = path.read_bytes()
    asked_for = []

    def allocate(descriptor, offset, num_bytes):
        asked_for.append((offset, num_bytes))
        raise OSError(errno.ENOSPC, "No space left on device")

    def read():
        raise AssertionError("read before there was room")

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    content = dataclasses.replace(as_content(draw_rows(300)), read=read)

    with pytest.raises(OSError, match="No space left") as caught:
        write_contents(path, train=content)

    assert caught.value.errno == errno.ENOSPC
    ((offset, num_bytes),) = asked_for
    assert offset == 0
    assert num_bytes > draw_rows(300).features.nbytes
    monkeypatch.undo()
    assert_untouched(path, before)


@pytest.mark.parametrize("call", ["pwrite", "fsync", "replace"])
def test_a_disk_that_fails_later_leaves_the_old_cache(path, monkeypatch, call):
    """Wherever the system says no, the file is whole or the old one."""
    before = path.read_bytes()

    def fail(*arguments, **options):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="Input/output error"):
        write_drawn_cache(path, num_train=5)

    monkeypatch.undo()
    assert_untouched(path, before)


@pytest.mark.parametrize("num_bytes", [0, 1000, 10_000, 200_000])
def test_a_limit_of_the_file_size_leaves_the_old_cache(path, num_bytes):
    """The system's own refusal, not a drawn one, at any point of the file."""
    before = path.read_bytes()

    with limit_file_size(num_bytes), pytest.raises(OSError, match="large"):
        write_drawn_cache(path)

    assert_untouched(path, before)


def test_short_writes_are_gone_on_with(path, tmp_path, monkeypatch):
    """A system that takes fewer bytes than it is given loses none."""
    write_some = os.pwrite

    def write_few(descriptor, data, offset):
        return write_some(descriptor, memoryview(data)[:1000], offset)

    monkeypatch.setattr(os, "pwrite", write_few)
    other = tmp_path / "other.h5"

    write_drawn_cache(other)

    assert other.read_bytes() == path.read_bytes()


def test_a_part_of_a_killed_write_is_overwritten(path):
    """Writing again needs no cleaning up."""
    path.with_name(path.name + ".part").write_bytes(b"half" * 100_000)

    write_drawn_cache(path)

    assert list(path.parent.iterdir()) == [path]
    assert len(open_cache(path).take(Selection("train"))) == 300


@pytest.mark.parametrize("image_id", ["", "é" * 2000, "a\u0000b", "日/本.jpg"])
def test_any_id_comes_back(tmp_path, image_id):
    """Empty, long and far from ASCII: ids are what they were."""
    path = tmp_path / "cache.h5"
    content = as_content(draw_rows(2))
    content = dataclasses.replace(content, image_ids=("x", image_id))

    write_contents(path, train=content, test=as_content(draw_rows(1)))

    assert open_cache(path).image_ids("train") == ("x", image_id)


@pytest.fixture(name="parts_path")
def _parts_path(tmp_path):
    """A cache of 300 training rows in two parts, and one of the test rows."""
    path = tmp_path / "parts" / "cache.h5"
    path.parent.mkdir()
    write_drawn_cache(path, max_file_bytes=PART_BYTES)
    return path


def assert_parts_untouched(path, before):
    """The old file and its parts are the cache, and nothing else is there."""
    assert files_in(path.parent) == ["cache.h5", "cache.h5.parts"]
    assert_equal_datasets(read_datasets(path), before)
    assert len(open_cache(path).take(Selection("train"))) == 300


@pytest.mark.parametrize("cuts", [(7, 290), (0, 0, 300), range(1, 300)])
def test_pieces_show_in_no_part(path, tmp_path, cuts):
    """Wherever they are cut, parts hold what a single file holds."""
    other = tmp_path / "other.h5"

    write_drawn_cache(other, cuts=cuts, max_file_bytes=PART_BYTES)

    assert_equal_datasets(read_datasets(other), read_datasets(path))


@pytest.mark.parametrize("call", ["pwrite", "fsync", "replace"])
def test_parts_that_fail_leave_the_old_cache(parts_path, monkeypatch, call):
    """Its own parts are untouched, and of the new ones nothing is left."""
    before = read_datasets(parts_path)

    def fail(*arguments, **options):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="Input/output error") as caught:
        write_drawn_cache(parts_path, num_train=270, max_file_bytes=PART_BYTES)

    monkeypatch.undo()
    assert caught.value.filename
    assert_parts_untouched(parts_path, before)


def test_parts_that_have_no_room_are_found_before_any_row_is_read(
    parts_path, monkeypatch
):
    """All of them are asked for, and the one that is too much is named."""
    before = read_datasets(parts_path)
    allocate = os.posix_fallocate
    num_calls = 0

    def allocate_some(descriptor, offset, num_bytes):
        nonlocal num_calls
        num_calls += 1
        if num_calls == 5:  # The space of the second part.
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(descriptor, offset, num_bytes)

    def read():
        raise AssertionError("read before there was room")

    monkeypatch.setattr(os, "posix_fallocate", allocate_some)
    content = dataclasses.replace(as_content(draw_rows(300)), read=read)

    with pytest.raises(OSError, match="No space left") as caught:
        write_contents(parts_path, train=content, max_file_bytes=PART_BYTES)

    monkeypatch.undo()
    assert caught.value.filename.endswith("cache.h5.parts-2/train-00001.h5")
    assert_parts_untouched(parts_path, before)


@pytest.mark.parametrize("max_file_bytes", [None, PART_BYTES])
def test_a_cache_that_replaces_another_takes_its_parts_away(
    parts_path, max_file_bytes
):
    """And those that a kill left, when the new file is in its place."""
    leftover = parts_path.with_name("cache.h5.parts-2")
    leftover.mkdir()
    (leftover / "train-00000.h5").touch()

    write_drawn_cache(parts_path, num_train=5, max_file_bytes=max_file_bytes)

    names = [] if max_file_bytes is None else ["cache.h5.parts-3"]
    assert files_in(parts_path.parent) == ["cache.h5", *names]
    open_cache(parts_path).take(Selection("train"))
