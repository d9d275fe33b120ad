"""Tests for `embed.building.folder`."""

import uuid

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from embed.building.folder import OVERWRITE
from embed.building.folder import PLACE
from embed.building.folder import SPEC
from embed.building.folder import begin_blocks
from embed.building.folder import build_dir_of
from embed.building.folder import finish_blocks
from embed.building.folder import prepare_build_dir
from embed.building.folder import read_place
from embed.building.folder import read_spec
from embed.building.folder import read_token
from embed.building.folder import remove_leftover
from embed.building.folder import remove_leftover_parts
from embed.building.journal import Journal
from embed.building.journal import read_journal
from embed.building.lock import lock_build
from embed.building.remote import RemotePath
from embed.console import Console
from embed.errors import StorageError
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import create_spec
from tests.drawn_caches import files_in
from tests.drawn_caches import write_drawn_cache

OTHER = create_spec(backbone="keras:Other")


class Denied(MemoryFileSystem):
    """A store that may list what it has, but neither give nor remove it."""

    protocol = "denied"
    is_denied = False

    def cat_file(self, path, start=None, end=None, **options):
        """Gives nothing."""
        if self.is_denied:
            raise PermissionError("AccessDenied")
        return super().cat_file(path, start, end, **options)

    def rm(self, path, recursive=False, maxdepth=None):
        """Removes nothing."""
        if self.is_denied:
            raise PermissionError("AccessDenied")
        super().rm(path, recursive, maxdepth)


fsspec.register_implementation("denied", Denied)


@pytest.fixture(name="denied")
def _denied():
    """A folder in it."""
    return RemotePath(f"denied://{uuid.uuid4()}/a.blocks")


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "cache.h5"


def make_build(path, spec, data=b"precious"):
    """Makes the folder of a build that was cut off."""
    build_dir = build_dir_of(path)
    (build_dir / "train").mkdir(parents=True, exist_ok=True)
    (build_dir / "train" / "00000000.npz").write_bytes(data)
    if spec is not None:
        (build_dir / SPEC).write_text(spec.to_json())
    return build_dir


def read_file(build_dir):
    """Returns what the one block of a build holds."""
    return (build_dir / "train" / "00000000.npz").read_bytes()


def test_parts_in_the_making_stay_whatever_link_asks(path, tmp_path):
    """Who finds a cache through a link does not clear up after its builder."""
    write_drawn_cache(path)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.h5"
    link.symlink_to(path)
    parts_dir = path.with_name("cache.h5.parts-2")
    parts_dir.mkdir()
    (parts_dir / "train-00000.h5").touch()
    quiet = Console(is_quiet=True)

    with lock_build(path, is_waiting=False, console=quiet):
        remove_leftover_parts(link, quiet)
        during = files_in(parts_dir)
    remove_leftover_parts(link, quiet)

    assert during == ["train-00000.h5"]
    assert not parts_dir.exists()


def test_blocks_lie_beside_their_cache(path):
    """The folder's name is the cache's, so that a rename moves both."""
    assert build_dir_of(path) == path.with_name("cache.h5.building")


def test_blocks_of_the_same_spec_stay(path):
    """They are what the build goes on from."""
    build_dir = make_build(path, create_spec())

    prepare_build_dir(path, create_spec())

    assert files_in(build_dir) == [SPEC, "train"]


def test_blocks_of_another_spec_are_renamed(path, tmp_path):
    """Their numbers mean other rows; later builds still find them."""
    make_build(path, OTHER)

    prepare_build_dir(path, create_spec())

    (aside,) = tmp_path.iterdir()
    assert aside.name == f"cache.h5.{OTHER.fingerprint()}-0.building"
    assert read_spec(aside) == OTHER
    assert read_file(aside) == b"precious"


def test_blocks_set_aside_twice_are_both_kept(path, tmp_path):
    """What is set aside never takes the place of what was before."""
    make_build(path, OTHER)
    prepare_build_dir(path, create_spec())
    make_build(path, OTHER, b"newer")

    prepare_build_dir(path, create_spec())

    names = [f"cache.h5.{OTHER.fingerprint()}-{n}.building" for n in (0, 1)]
    assert files_in(tmp_path) == names
    held = [read_file(tmp_path / name) for name in names]
    assert held == [b"precious", b"newer"]


def test_blocks_without_a_spec_are_removed(path, tmp_path):
    """Nobody knows whose vectors they hold."""
    make_build(path, None)

    prepare_build_dir(path, create_spec())

    assert list(tmp_path.iterdir()) == []


def test_blocks_under_their_fingerprint_need_no_spec(tmp_path):
    """The name says what the damaged file would: they are gone on with."""
    spec = create_spec()
    path = tmp_path / f"pets-{spec.fingerprint()}.h5"
    build_dir = make_build(path, None)

    prepare_build_dir(path, spec)

    assert files_in(build_dir) == ["train"]


def test_no_blocks_are_no_error(path, tmp_path):
    """Most builds begin without any."""
    prepare_build_dir(path, create_spec())

    assert list(tmp_path.iterdir()) == []


def test_an_overwrite_takes_no_block_over(path):
    """What another build computed is not what it computes anew."""
    build_dir = make_build(path, create_spec())

    prepare_build_dir(path, create_spec(), is_overwrite=True)

    assert files_in(build_dir) == [OVERWRITE]


@pytest.mark.parametrize("is_overwrite", [True, False])
def test_blocks_of_an_overwrite_stay(path, is_overwrite):
    """It goes on from what it computed itself, and so does any other."""
    prepare_build_dir(path, create_spec(), is_overwrite=True)
    build_dir = make_build(path, create_spec())

    prepare_build_dir(path, create_spec(), is_overwrite=is_overwrite)

    assert read_file(build_dir) == b"precious"


def test_an_overwrite_sets_another_overwrite_aside(path, tmp_path):
    """Of another spec: its blocks are of use to others."""
    prepare_build_dir(path, OTHER, is_overwrite=True)
    make_build(path, OTHER)

    prepare_build_dir(path, create_spec(), is_overwrite=True)

    name = f"cache.h5.{OTHER.fingerprint()}-0.building"
    assert set(files_in(tmp_path)) == {name, "cache.h5.building"}
    assert files_in(build_dir_of(path)) == [OVERWRITE]
    assert read_file(tmp_path / name) == b"precious"


def test_what_a_finished_cache_was_made_of_is_removed(path):
    """The journal tells its blocks from those of a build that goes on."""
    build_dir = make_build(path, create_spec())
    Journal(build_dir, "tensorflow").begin_block("train", 0, 600)
    attempts = read_journal(build_dir)
    provenance = PROVENANCE.model_copy(update={"attempts": attempts})
    write_drawn_cache(path, provenance=provenance)

    remove_leftover(path)

    assert not build_dir.exists()


def test_blocks_of_a_build_that_goes_on_are_no_leftover(path):
    """Those of another attempt, and those without a journal, stay."""
    write_drawn_cache(path)
    build_dir = make_build(path, create_spec())
    remove_leftover(path)
    Journal(build_dir, "tensorflow").begin_block("train", 0, 600)

    remove_leftover(path)

    assert read_file(build_dir) == b"precious"


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b'{"a": 1}'])
def test_a_senseless_spec_is_none(path, data):
    """A build that does not say what it is for is of no use."""
    build_dir = make_build(path, create_spec())
    assert read_spec(build_dir) == create_spec()

    (build_dir / SPEC).write_bytes(data)

    assert read_spec(build_dir) is None


def test_a_store_that_denies_the_spec_is_told(denied, monkeypatch):
    """Nobody knows then whether a build is there: the reason is said."""
    assert read_spec(denied) is None
    monkeypatch.setattr(Denied, "is_denied", True)

    with pytest.raises(StorageError, match=r"read: access is denied"):
        read_spec(denied)


@pytest.mark.parametrize("is_remote", [False, True])
def test_each_attempt_has_a_token_of_its_own(path, is_remote):
    """It lies with the blocks, and goes with them."""
    build_dir = build_dir_of(path)
    blocks_dir = build_dir
    if is_remote:
        blocks_dir = RemotePath(f"memory://{uuid.uuid4()}/a.blocks")

    assert read_token(blocks_dir) == ""
    begin_blocks(build_dir, blocks_dir, create_spec())
    first = read_token(blocks_dir)
    begin_blocks(build_dir, blocks_dir, create_spec())
    second = read_token(blocks_dir)
    finish_blocks(build_dir, blocks_dir, Console(is_quiet=True))

    assert "" != first != second != ""
    assert read_token(blocks_dir) == ""
    if is_remote:
        assert blocks_dir.glob("*") == []


def test_blocks_that_a_store_keeps_are_removed_later(
    path, denied, monkeypatch, capsys
):
    """The cache is finished; its next user tries again."""
    build_dir = build_dir_of(path)
    begin_blocks(build_dir, denied, create_spec())
    (denied / "train" / "00000000.npz").write_bytes(b"0")
    Journal(build_dir, "tensorflow").begin_block("train", 0, 600)
    attempts = read_journal(build_dir)
    provenance = PROVENANCE.model_copy(update={"attempts": attempts})
    write_drawn_cache(path, provenance=provenance)

    monkeypatch.setattr(Denied, "is_denied", True)
    finish_blocks(build_dir, denied, Console())
    remove_leftover(path)

    assert "its blocks stay: denied://" in capsys.readouterr().err
    assert read_place(build_dir) == denied
    monkeypatch.setattr(Denied, "is_denied", False)
    remove_leftover(path)
    assert not build_dir.exists()
    assert denied.glob("*") == []


def test_a_build_says_where_its_blocks_lie(path, tmp_path):
    """Until it goes on beside its cache, or the note is damaged."""
    build_dir = build_dir_of(path)
    elsewhere = tmp_path / "shared" / "cache.blocks"

    assert read_place(build_dir) == build_dir
    begin_blocks(build_dir, elsewhere, create_spec())
    assert read_place(build_dir) == elsewhere
    assert read_spec(elsewhere) == create_spec()
    begin_blocks(build_dir, build_dir, create_spec())
    assert read_place(build_dir) == build_dir
    for damaged in (b"/", b"\xff.blocks", b""):
        (build_dir / PLACE).write_bytes(damaged)
        assert read_place(build_dir) == build_dir


def test_blocks_elsewhere_of_a_finished_cache_go(path, tmp_path):
    """A build that was killed before its last step left them there."""
    write_drawn_cache(path)
    build_dir, elsewhere = (
        make_build(path, create_spec()),
        tmp_path / "a.blocks",
    )
    begin_blocks(build_dir, elsewhere, create_spec())
    Journal(build_dir, "tensorflow").begin_block("train", 0, 600)
    attempts = read_journal(build_dir)
    provenance = PROVENANCE.model_copy(update={"attempts": attempts})
    write_drawn_cache(path, provenance=provenance)

    remove_leftover(path)

    assert files_in(tmp_path) == ["cache.h5"]
