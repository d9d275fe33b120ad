"""Where the blocks of a build lie: beside its cache, or where `--blocks` says.

There, in a shared folder or a store, each build has a folder of its own,
`NAME-FINGERPRINT-BUILDER.blocks`, with its blocks and its `spec.json`. No two
builds write into one: BUILDER is drawn when a build begins, which keeps it in
`place` beside its cache. What another has there is taken over as from any build
that was cut off.
"""

import os
import re
import secrets
from pathlib import Path

from embed.artifacts import make_folder
from embed.building.folder import BLOCKS
from embed.building.folder import build_dir_of
from embed.building.folder import read_place
from embed.building.remote import AnyPath
from embed.building.remote import RemotePath
from embed.building.store_errors import EXTRAS
from embed.building.store_errors import SECRETS
from embed.errors import StorageError
from embed.spec import CacheSpec

LOCAL = ("file", "local")  # As fsspec calls folders of this machine.
BUILDER_BYTES = 4  # Enough to tell apart the builds of one name and spec.
PASSWORD = re.compile(r"[^@]*:[^@]*@")  # At the start of what follows `://`.
# Patterns, chains and queries: what a store may read as more than a name.
SIGNS = re.compile(r"[*?\[\]]|::")
UNSAFE = re.compile(r"[^\w.-]")  # In a name: it is to be no pattern either.
EXPECTED = (
    "Expected: a folder, s3://BUCKET/PATH, gs://BUCKET/PATH or another URL "
    "that fsspec knows"
)


def anchor_blocks(blocks: str | None) -> str | None:
    """Returns where blocks lie, good from any folder.

    Args:
        blocks: A folder or URL; `None` for beside the cache.
    """
    if blocks is None:
        return None
    scheme, separator, rest = blocks.partition("://")
    if not separator or scheme in LOCAL:
        folder = os.path.expanduser(rest if separator else blocks)
        return str(Path(folder).absolute())
    return f"{scheme}://{rest.rstrip('/')}"


def open_place(blocks: str) -> AnyPath:
    """Returns the folder or store in which builds have their folders.

    Args:
        blocks: As `anchor_blocks` returns it.

    Raises:
        StorageError: If nothing of this kind can be opened here.
    """
    scheme, separator, rest = blocks.partition("://")
    if not separator:
        return Path(blocks)
    if PASSWORD.match(rest):
        raise StorageError(
            f"The URL {scheme}://... of the blocks carries a password, which "
            "would be written to logs. Expected: credentials where the store "
            "looks for them, in variables or files of its own. Received: a "
            "colon in front of an @. Name the place with `--blocks` without it."
        )
    shown = SECRETS.sub("", blocks)
    if not rest or SIGNS.search(rest):
        raise StorageError(
            f"Blocks cannot lie in {shown}. {EXPECTED}, without patterns and "
            f"queries. Received: {shown}. Name one with `--blocks`."
        )
    try:
        import fsspec

        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise StorageError(_describe_missing(scheme, error)) from error
    except ValueError as error:
        raise StorageError(
            f"Nothing is known of {scheme}:// to keep blocks in. {EXPECTED}. "
            f"Received: {shown}. Name one with `--blocks`."
        ) from error
    return RemotePath(blocks)


def require_place(blocks: str | None) -> None:
    """Checks that blocks can be listed, written, read and removed there.

    Raises:
        StorageError: If they cannot.
    """
    if blocks is None:
        return
    place = open_place(blocks)
    if isinstance(place, RemotePath):
        place.require_usable()
    else:
        make_folder(place, option="--blocks DIR")


def open_blocks_dir(
    blocks: str | None, cache_path: Path, spec: CacheSpec
) -> AnyPath:
    """Returns the folder of the blocks of one build; makes none.

    A build that goes on stays with its folder, on another machine too. One
    that has yet to write there gets another at each call.

    Args:
        blocks: As `anchor_blocks` returns it.
        cache_path: Where the finished cache goes.
        spec: What its rows are determined by.

    Raises:
        StorageError: If nothing of this kind can be opened here.
    """
    if blocks is None:
        return build_dir_of(cache_path)
    fingerprint = spec.fingerprint()
    name = UNSAFE.sub("_", cache_path.stem)
    if not name.endswith(fingerprint):
        name = f"{name}-{fingerprint}"
    place, began = open_place(blocks), read_place(build_dir_of(cache_path))
    if began.parent == place and began.name.startswith(f"{name}-"):
        return began
    return place / f"{name}-{secrets.token_hex(BUILDER_BYTES)}{BLOCKS}"


def _describe_missing(scheme: str, error: ImportError) -> str:
    """Returns what must be installed for a scheme."""
    advice = f"Received: {error}. Install what it needs"
    if extra := EXTRAS.get(scheme):
        advice = f"Run `python -m pip install 'headstart[{extra}]'`"
    elif getattr(error, "name", "") == "fsspec":
        advice = "Run `python -m pip install fsspec`"
    return (
        f"Blocks in {scheme}:// need a package that is not installed. "
        f"Expected: it to be installed. {advice}, or name another place with "
        "`--blocks`."
    )
