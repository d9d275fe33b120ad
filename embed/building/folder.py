"""The folder of a build: `NAME.h5.building`, beside the cache it makes.

SPLIT/NUMBER.npz   blocks of computed rows
spec.json          the `CacheSpec` that they are of
journal.jsonl      what each attempt did
overwrite          there if the build takes nothing over
"""

import contextlib
import itertools
import shutil
from pathlib import Path

import pydantic

from embed.building.journal import read_journal
from embed.building.lock import lock_build
from embed.cache import open_cache
from embed.console import Console
from embed.errors import BusyCacheError
from embed.errors import PipelineError
from embed.spec import CacheSpec
from embed.storage.part_folders import find_leftovers
from embed.storage.part_folders import remove_leftovers_of

BUILDING = ".building"  # What the folder is called after the cache.
SPEC, OVERWRITE = "spec.json", "overwrite"


def build_dir_of(path: Path) -> Path:
    """Returns where the blocks of a cache lie until it is finished."""
    return path.with_name(path.name + BUILDING)


def cache_path_of(build_dir: Path) -> Path:
    """Returns where the cache of a build goes."""
    return build_dir.with_name(build_dir.name.removesuffix(BUILDING))


def prepare_build_dir(
    path: Path, spec: CacheSpec, *, is_overwrite: bool = False
) -> None:
    """Leaves in the folder only blocks that this build can go on from.

    Those of another spec, whose numbers mean other rows, are set aside. A
    build that is to compute all anew goes on from its own blocks alone. Parts
    that a killed build had begun to write go: the disk may need the room.

    Args:
        path: Of the cache.
        spec: What is to be built.
        is_overwrite: Whether to compute all anew.
    """
    build_dir = build_dir_of(path)
    remove_leftover(path)
    remove_leftovers_of(path)
    if is_overwrite and not (build_dir / OVERWRITE).exists():
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
    attempts = read_journal(build_dir_of(path))
    with contextlib.suppress(PipelineError):
        if attempts and open_cache(path).provenance.attempts == attempts:
            shutil.rmtree(build_dir_of(path), ignore_errors=True)


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


def read_spec(build_dir: Path) -> CacheSpec | None:
    """Returns what a build is for, `None` where that cannot be read."""
    try:
        text = (build_dir / SPEC).read_text("utf-8")
        return CacheSpec.model_validate_json(text)
    except (OSError, UnicodeDecodeError, pydantic.ValidationError):
        return None


def _free_name(build_dir: Path, held: CacheSpec) -> Path:
    """Returns a name that stands for the spec, and that nothing has."""
    stem = cache_path_of(build_dir).name
    digits = held.fingerprint()
    names = (f"{stem}.{digits}-{n}{BUILDING}" for n in itertools.count())
    paths = (build_dir.with_name(name) for name in names)
    return next(path for path in paths if not path.exists())
