"""The folder of a build: `NAME.h5.building`, beside the cache it makes.

SPLIT/NUMBER.npz   blocks of computed rows
spec.json          the `CacheSpec` that they are of
token              by which workers know the folder of this attempt
journal.jsonl      what each attempt did
overwrite          there if the build takes nothing over
place              there if the blocks lie elsewhere, and says where

Elsewhere (`embed.building.place`) the blocks, the token and a second
`spec.json` lie in a folder like this one.
"""

import contextlib
import itertools
import secrets
import shutil
from pathlib import Path

import pydantic

from embed.artifacts import write_text
from embed.building.journal import read_journal
from embed.building.lock import lock_build
from embed.building.remote import AnyPath
from embed.building.remote import RemotePath
from embed.cache import open_cache
from embed.console import Console
from embed.errors import BusyCacheError
from embed.errors import PipelineError
from embed.errors import StorageError
from embed.spec import CacheSpec
from embed.storage.part_folders import find_leftovers
from embed.storage.part_folders import remove_leftovers_of

BUILDING = ".building"  # What the folder is called after the cache.
BLOCKS = ".blocks"  # What one for blocks alone is called.
SPEC, OVERWRITE, PLACE = "spec.json", "overwrite", "place"
TOKEN = "token"  # noqa: S105  No password: it says which attempt it is.
TOKEN_BYTES = 16  # No two attempts draw the same.
FILES = "[0-9]*.npz*"  # Blocks, and halves of them.


def build_dir_of(path: Path) -> Path:
    """Returns where the blocks of a cache lie until it is finished."""
    return path.with_name(path.name + BUILDING)


def cache_path_of(build_dir: Path) -> Path:
    """Returns where the cache of a build goes."""
    return build_dir.with_name(build_dir.name.removesuffix(BUILDING))


def prepare_build_dir(
    path: Path,
    spec: CacheSpec,
    *,
    is_overwrite: bool = False,
    blocks_dir: AnyPath | None = None,
) -> None:
    """Leaves in the folder only blocks that this build can go on from.

    Those of another spec, whose numbers mean other rows, are set aside. A
    build that is to compute all anew goes on from its own blocks alone. Parts
    that a killed build had begun to write go: the disk may need the room.

    Args:
        path: Of the cache.
        spec: What is to be built.
        is_overwrite: Whether to compute all anew.
        blocks_dir: Where the blocks lie; default: in the folder.

    Raises:
        StorageError: If blocks of a store cannot be removed.
    """
    build_dir = build_dir_of(path)
    remove_leftover(path)
    remove_leftovers_of(path)
    if is_overwrite and not (
        (build_dir / OVERWRITE).exists()
        and read_place(build_dir) == (blocks_dir or build_dir)
    ):
        remove_blocks(blocks_dir or build_dir)
        shutil.rmtree(build_dir, ignore_errors=True)
    held = read_spec(build_dir)
    is_named = path.stem.endswith(spec.fingerprint())
    if held is None and not is_named:  # Nothing says what its vectors are.
        shutil.rmtree(build_dir, ignore_errors=True)
    elif held is not None and held != spec:
        build_dir.rename(_free_name(build_dir, held))
    if is_overwrite:
        build_dir.mkdir(parents=True, exist_ok=True)
        (build_dir / OVERWRITE).touch()
    else:
        (build_dir / OVERWRITE).unlink(missing_ok=True)


def remove_leftover(path: Path) -> None:
    """Removes the blocks that a finished cache was made of.

    They are there where a build was killed between its last two steps. The
    journal tells them from those of another build that goes on there.
    """
    build_dir = build_dir_of(path)
    attempts = read_journal(build_dir)
    with contextlib.suppress(PipelineError):
        if attempts and open_cache(path).provenance.attempts == attempts:
            remove_blocks(read_place(build_dir))
            shutil.rmtree(build_dir, ignore_errors=True)


def begin_blocks(build_dir: Path, blocks_dir: AnyPath, spec: CacheSpec) -> None:
    """Writes what the blocks of a build are of, and where they lie.

    A machine that does not share the folder may have one of an earlier attempt
    under the same path: the token, new each time, tells them apart.

    Args:
        build_dir: Of the build, beside its cache.
        blocks_dir: Of its blocks; the same unless they lie elsewhere.
        spec: What they are of.

    Raises:
        StorageError: If it cannot be written to a store.
    """
    build_dir.mkdir(parents=True, exist_ok=True)
    if blocks_dir == build_dir:
        (build_dir / PLACE).unlink(missing_ok=True)
    else:
        write_text(build_dir / PLACE, str(blocks_dir))
    for folder in dict.fromkeys((build_dir, blocks_dir)):
        _write(folder / SPEC, spec.to_json())
    _write(blocks_dir / TOKEN, secrets.token_hex(TOKEN_BYTES))


def finish_blocks(
    build_dir: Path, blocks_dir: AnyPath, console: Console
) -> None:
    """Removes all that a finished build leaves.

    Where a store does not allow it, the folder of the build stays and says
    where they lie, so that `remove_leftover` can try again.

    Args:
        build_dir: Of the build, beside its cache.
        blocks_dir: Of its blocks; the same unless they lie elsewhere.
        console: Told where blocks of a store cannot be removed.
    """
    try:
        remove_blocks(blocks_dir)
    except StorageError as error:
        console.say(f"The cache is finished, but its blocks stay: {error}")
        return
    shutil.rmtree(build_dir, ignore_errors=True)


def remove_blocks(blocks_dir: AnyPath) -> None:
    """Removes a folder of blocks; of a store only what builds write there.

    Raises:
        StorageError: If a store does not allow it.
    """
    if isinstance(blocks_dir, Path):
        shutil.rmtree(blocks_dir, ignore_errors=True)
        return
    there = blocks_dir.glob("*")
    blocks = [f for split in there for f in split.glob(FILES)]
    ours = [f for f in there if f.name in (SPEC, TOKEN)]
    blocks_dir.remove([*blocks, *ours])


def read_place(build_dir: Path) -> AnyPath:
    """Returns where the blocks of a build lie, by what the build says."""
    try:
        place = (build_dir / PLACE).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return build_dir
    if not place.endswith(BLOCKS):  # It was damaged.
        return build_dir
    return RemotePath(place) if "://" in place else Path(place)


def tell_of_other_place(
    path: Path, blocks_dir: AnyPath, console: Console
) -> None:
    """Says where the blocks are that a build does not go on from.

    Args:
        path: Of the cache.
        blocks_dir: Where the blocks of this build lie.
        console: Where the remark goes.
    """
    held = read_place(build_dir_of(path))
    if held not in (build_dir_of(path), blocks_dir):
        console.say(
            f"The blocks that an earlier attempt left in {held} stay there. "
            "To go on from them, give the `--blocks` of then."
        )


def remove_leftover_parts(path: Path, console: Console) -> None:
    """Removes parts of a finished cache that it does not refer to.

    They are there where a build was killed when it had replaced the cache.
    """
    real = path.resolve()
    if find_leftovers(real.parent, of=real.name):
        with (
            contextlib.suppress(BusyCacheError),
            lock_build(path, is_waiting=False, console=console),
        ):
            remove_leftovers_of(path)


def read_spec(build_dir: AnyPath) -> CacheSpec | None:
    """Returns what a build is for, `None` where nothing says so.

    Raises:
        StorageError: If a store does not answer.
    """
    try:
        text = (build_dir / SPEC).read_text("utf-8")
        return CacheSpec.model_validate_json(text)
    except StorageError:  # Nobody knows what it says.
        raise
    except (OSError, UnicodeDecodeError, pydantic.ValidationError):
        return None


def read_token(blocks_dir: AnyPath) -> str:
    """Returns what the last attempt wrote there, `""` where none did.

    Raises:
        StorageError: If a store does not answer.
    """
    try:
        return (blocks_dir / TOKEN).read_text("utf-8")
    except StorageError:
        raise
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: AnyPath, text: str) -> None:
    if isinstance(path, RemotePath):
        path.write_bytes(text.encode())
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)


def _free_name(build_dir: Path, held: CacheSpec) -> Path:
    """Returns a name that stands for the spec, and that nothing has."""
    stem = cache_path_of(build_dir).name
    digits = held.fingerprint()
    names = (f"{stem}.{digits}-{n}{BUILDING}" for n in itertools.count())
    paths = (build_dir.with_name(name) for name in names)
    return next(path for path in paths if not path.exists())
