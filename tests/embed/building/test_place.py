"""Tests for `embed.building.place`."""

from pathlib import Path

import pytest

from embed.building.folder import PLACE
from embed.building.folder import build_dir_of
from embed.building.folder import remove_blocks
from embed.building.place import anchor_blocks
from embed.building.place import open_blocks_dir
from embed.building.place import open_place
from embed.building.place import require_place
from embed.building.remote import RemotePath
from embed.errors import StorageError
from tests.drawn_caches import create_spec

SPEC = create_spec()
DIGITS = SPEC.fingerprint()


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "cache.h5"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("s3://bucket/a/", "s3://bucket/a"),
        ("s3:///", "s3://"),
        ("/there", "/there"),
        ("file:///there", "/there"),
        ("there", "{here}/there"),
        ("~/there", "{home}/there"),
    ],
)
def test_places_are_good_from_any_folder(
    given, expected, tmp_path, monkeypatch
):
    """Folders become absolute, addresses stay what they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home-of-a-user")
    if expected:
        expected = expected.format(here=tmp_path, home="/home-of-a-user")

    assert anchor_blocks(given) == expected


def test_blocks_lie_beside_their_cache_unless_said(path):
    """Where they always lay."""
    assert open_blocks_dir(None, path, SPEC) == build_dir_of(path)


def test_a_build_has_a_folder_of_its_own(path, tmp_path):
    """Not even one of the same name on another machine has the same."""
    named = tmp_path / f"pets-{DIGITS}.h5"
    folders = [
        open_blocks_dir("memory://a", path, SPEC),
        open_blocks_dir("memory://a", named, SPEC),
        open_blocks_dir("memory://a", path, create_spec(301)),
        open_blocks_dir("memory://a", tmp_path / "other" / path.name, SPEC),
        open_blocks_dir("/a", path, SPEC),
    ]
    folders.append(open_blocks_dir("memory://a", path, SPEC))

    assert len({*folders}) == len(folders)
    assert folders[0].parent == RemotePath("memory://a")
    assert folders[0].name.startswith(f"cache-{DIGITS}-")
    assert folders[1].name.startswith(f"pets-{DIGITS}-")
    assert folders[4].parent == Path("/a")


@pytest.mark.parametrize("name", ["a[0-9].h5", "a*.h5", "a b?.h5", "été.h5"])
def test_the_name_of_a_cache_is_no_pattern(name, tmp_path):
    """What is removed of a store is that one folder, and all of it."""
    place = f"memory://{tmp_path}"
    folder = open_blocks_dir(place, tmp_path / name, SPEC)
    block = folder / "train" / "00000000.npz"
    other = open_blocks_dir(place, tmp_path / "a1.h5", SPEC) / "train" / "a.npz"
    for path in (block, other):
        path.write_bytes(b"")

    remove_blocks(folder)

    assert RemotePath(place).glob("*") == [other.parent.parent]


@pytest.mark.parametrize("blocks", ["memory://a", "/a"])
@pytest.mark.parametrize("name", ["cache.h5", "a b[1].h5"])
def test_a_build_that_goes_on_stays_with_its_folder(tmp_path, name, blocks):
    """The same command goes on from its blocks, on another machine too."""
    path = tmp_path / name
    folder = open_blocks_dir(blocks, path, SPEC)
    build_dir_of(path).mkdir()
    (build_dir_of(path) / PLACE).write_text(str(folder))

    assert open_blocks_dir(blocks, path, SPEC) == folder
    assert open_blocks_dir("memory://b", path, SPEC).parent != folder.parent
    assert open_blocks_dir(blocks, path, create_spec(301)) != folder
    assert open_blocks_dir(None, path, SPEC) == build_dir_of(path)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("nothing://a", r"Nothing is known of nothing://.*s3://BUCKET/PATH"),
        ("s3://", r"Expected: a folder, s3://BUCKET"),
        ("s3://bucket/*", r"without patterns"),
        ("simplecache::s3://bucket", r"simplecache"),
        ("filecache://a::s3://bucket", r"without patterns"),
    ],
)
def test_what_is_no_place_is_refused(blocks, message):
    """The error says what is one."""
    with pytest.raises(StorageError, match=message):
        open_place(blocks)


@pytest.mark.parametrize(
    "blocks",
    [
        "abfs://c@account.dfs.core.windows.net/a?sv=1&sig=SECRET",
        "nothing://SECRET@host/a",
    ],
)
def test_a_signature_in_a_url_is_not_repeated(blocks):
    """Who shows the error to others shows them no key."""
    with pytest.raises(StorageError, match=r"Received: \w+://") as caught:
        open_place(blocks)

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "blocks", ["sftp://me:secret@host/a", "s3://KEY:sec/ret@bucket/a"]
)
def test_a_password_in_a_url_is_refused_and_not_repeated(blocks):
    """It would end in logs, and in the files of the build."""
    with pytest.raises(StorageError, match="password") as caught:
        open_place(blocks)

    assert "sec" not in str(caught.value)


def test_a_missing_package_is_named_by_its_extra(monkeypatch):
    """The command that installs it is in the message."""
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)

    with pytest.raises(StorageError, match=r"'headstart\[gs\]'"):
        open_place("gs://bucket/a")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    """Before anything is computed, by the option that named it."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match=r"`--blocks DIR`"):
        require_place(str(tmp_path / "file" / "a"))


def test_a_folder_is_made_where_there_is_none(tmp_path):
    """As for everything else that is written."""
    require_place(str(tmp_path / "a" / "b"))

    assert (tmp_path / "a" / "b").is_dir()
