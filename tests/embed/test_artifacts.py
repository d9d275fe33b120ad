"""Tests for `embed.artifacts`."""

import os
import shutil
from pathlib import Path

import pytest

from embed.artifacts import find_cache
from embed.artifacts import find_cache_of
from embed.artifacts import find_labelled_cache
from embed.artifacts import iterate_caches
from embed.artifacts import make_folder
from embed.artifacts import name_dataset
from embed.artifacts import newest_first
from embed.artifacts import replace_folder
from embed.artifacts import touch
from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.errors import CorruptCacheError
from embed.errors import MissingArtifactError
from embed.errors import SourceError
from embed.errors import StorageError


def set_age(path, seconds):
    """Makes a file that much older than the epoch's first day."""
    os.utime(path, (100_000 - seconds, 100_000 - seconds))


def write_aged(folder, **ages):
    """Writes files, each as old as said."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, seconds in ages.items():
        (folder / f"{name}.h5").touch()
        set_age(folder / f"{name}.h5", seconds)


def test_newest_first(tmp_path):
    """What was written last comes first, whatever its name."""
    write_aged(tmp_path / "caches", a=2, b=1, c=3)

    paths = newest_first(tmp_path, "caches/*.h5")

    assert [path.stem for path in paths] == ["b", "a", "c"]
    assert newest_first(tmp_path, "runs/*/run.json") == []


def test_touched_artifact_is_the_newest(tmp_path):
    """What was asked for again is what the next command takes."""
    write_aged(tmp_path, a=2, b=1)

    touch(tmp_path / "a.h5")

    assert newest_first(tmp_path, "*.h5")[0].stem == "a"


def test_find_the_newest_cache(tiny_cache, tmp_path):
    """Without a path it is the last that was written."""
    older = tiny_cache.path.with_name("older.h5")
    shutil.copy(tiny_cache.path, older)
    set_age(older, 0)

    found = find_cache(tmp_path / "artifacts", None)

    assert found.path == tiny_cache.path


def test_find_the_named_cache(tiny_cache, tmp_path):
    """A path is taken at its word, wherever it is."""
    path = tmp_path / "elsewhere.h5"
    shutil.copy(tiny_cache.path, path)

    assert find_cache(tmp_path / "artifacts", path).path == path


def test_no_cache(tmp_path):
    """The message holds the command that builds one."""
    with pytest.raises(
        MissingArtifactError,
        match=r"python -m embed build-cache.*name one by its path",
    ):
        find_cache(tmp_path, None)


def test_no_such_cache(tiny_cache, tmp_path):
    """A named cache that is missing is not replaced by another."""
    with pytest.raises(MissingArtifactError, match="python -m embed build"):
        find_cache(tiny_cache.path.parents[1], tmp_path / "none.h5")


def test_newest_cache_is_corrupt(tiny_cache, tmp_path):
    """Damage is reported; no older cache is taken in its place."""
    tiny_cache.path.with_name("zzz.h5").write_bytes(b"half")

    with pytest.raises(CorruptCacheError, match=r"zzz.h5 is corrupt"):
        find_cache(tmp_path / "artifacts", None)


def test_newest_cache_with_labels(draw_cache, tmp_path):
    """One without is passed over, and refused where it is the only one."""
    caches = tmp_path / "caches"
    caches.mkdir()
    draw_cache(caches / "without.h5", class_names=())
    os.utime(caches / "without.h5", (2e9, 2e9))

    with pytest.raises(SourceError, match=r"no labels.*`--cache PATH`"):
        find_labelled_cache(tmp_path, None)
    draw_cache(caches / "with.h5")

    assert find_labelled_cache(tmp_path, None).path == caches / "with.h5"
    with pytest.raises(SourceError, match=r"no labels.*`--cache PATH`"):
        find_labelled_cache(tmp_path, caches / "without.h5")


@pytest.mark.parametrize(
    ("handle", "name"),
    {
        "digits": "digits",
        "tfds:oxford_iiit_pet": "oxford_iiit_pet",
        "tfds:oxford_iiit_pet:4.0.0": "oxford_iiit_pet_4.0.0",
        "folder:/data/birds of 2026/": "birds_of_2026",
        "hf:user/birds:small": "birds_small",
        "hf:/data/birds.parquet": "birds",
        "hf": "hf",
        "wds:/data/birds": "birds",
        "wds:/data/birds.tar": "birds",
        "wds:/data/birds/train-{000..003}.tar": "birds",
        "wds:*.tar": "wds",
    }.items(),
)
def test_names_for_people(handle, name):
    """A cache is called what its pictures are called."""
    assert name_dataset(handle) == name


def test_find_by_fingerprint(tiny_cache, tmp_path):
    """A run finds its cache where it was, and where it was moved to."""
    artifacts_dir, fingerprint = tmp_path / "artifacts", tiny_cache.fingerprint

    where_it_was = find_cache_of(artifacts_dir, fingerprint, tiny_cache.path)
    moved = find_cache_of(artifacts_dir, fingerprint, tmp_path / "gone.h5")

    assert where_it_was.path == moved.path == tiny_cache.path


def test_other_cache_in_the_old_place_is_not_taken(tiny_cache, tmp_path):
    """The fingerprint decides, not the path."""
    with pytest.raises(
        MissingArtifactError, match=r"fingerprint 0123 .*`--cache PATH`"
    ):
        find_cache_of(tmp_path / "artifacts", "0123", tiny_cache.path)


def test_all_caches_with_their_errors(tiny_cache, tmp_path):
    """One bad file hides no good one."""
    bad = tiny_cache.path.with_name("bad.h5")
    bad.write_bytes(b"half")
    set_age(bad, 0)

    found = dict(iterate_caches(tmp_path / "artifacts"))

    assert list(found) == [tiny_cache.path, bad]
    assert isinstance(found[tiny_cache.path], FeatureCache)
    assert isinstance(found[bad], CorruptCacheError)


def test_replaced_folder_holds_the_new_alone(tmp_path):
    """Nothing of the old folder is mixed into the new one."""
    folder = tmp_path / "runs" / "one"
    for name in ("old", "new"):
        with replace_folder(folder) as part:
            (part / name).touch()

    assert [path.name for path in folder.iterdir()] == ["new"]
    assert list(folder.parent.glob("[!.]*")) == [folder]


def test_failure_leaves_the_old_folder(tmp_path):
    """A body that raises changes nothing and leaves nothing."""
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "old").touch()

    def fail():
        with replace_folder(folder) as part:
            (part / "new").touch()
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()

    assert [path.name for path in folder.iterdir()] == ["old"]
    assert list(tmp_path.glob("[!.]*")) == [folder]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_stop_between_the_two_moves_puts_the_old_back(
    tmp_path, monkeypatch, error
):
    """The old folder is moved away, and the new one is not there yet."""
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "old").touch()
    rename = Path.rename

    def stop(path, target):
        if path.name == "one.part":
            raise error
        return rename(path, target)

    def replace():
        with replace_folder(folder) as part:
            (part / "new").touch()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop)
        with pytest.raises(error):
            replace()

    assert [path.name for path in folder.iterdir()] == ["old"]
    replace()
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_a_kill_between_the_two_moves_loses_nothing(tmp_path):
    """Whoever writes there next puts the old folder back, even if it fails."""
    folder = tmp_path / "one"
    old = tmp_path / ".building" / "one.old"
    old.mkdir(parents=True)
    (old / "old").touch()

    def fail():
        with replace_folder(folder):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fail()

    assert [path.name for path in folder.iterdir()] == ["old"]
    assert list(old.parent.iterdir()) == []


def test_write_text_replaces_at_once(tmp_path):
    """The file is there whole, and nothing is beside it."""
    path = tmp_path / "run.json"

    for text in ("été" * 1000, "short"):
        write_text(path, text)

    assert path.read_text("utf-8") == "short"
    assert list(tmp_path.iterdir()) == [path]


def test_make_folder_leaves_it_empty(tmp_path):
    """The probe that tells whether it can be written is gone."""
    folder = make_folder(tmp_path / "a" / "b")

    assert folder.is_dir()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("below", [".", "caches"])
def test_folder_that_cannot_be_made(tmp_path, below):
    """A file in its place, or on the way to it, is an error with advice."""
    (tmp_path / "artifacts").write_text("I am a file")

    with pytest.raises(StorageError, match="`--artifacts DIR`"):
        make_folder(tmp_path / "artifacts" / below)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written(tmp_path):
    """Missing rights are found before any work is done."""
    tmp_path.chmod(0o500)

    with pytest.raises(StorageError, match="`--artifacts DIR`"):
        make_folder(tmp_path)
