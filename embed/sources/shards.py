"""Tar shards: what lies where in one."""

import dataclasses
import json
import os
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from embed.decoding.formats import PICTURE_SUFFIXES
from embed.errors import SourceError
from embed.sources.files import Stamp
from embed.sources.files import is_left_by_system
from embed.sources.files import stamp_of

CLASS, DOCUMENT = "cls", "json"  # Endings of members that hold a label.
LABEL_KEY = "label"  # Of a document, unless another one is named.
END = bytes(tarfile.BLOCKSIZE)  # Without it tarfile takes a cut for the end.
READ_SIZE = 2**20  # Of what follows the end: some kB, seldom more.


@dataclasses.dataclass(frozen=True)
class Shard:
    """A tar file.

    Args:
        path: Where it lies.
        stamp: Size, mtime_ns and ctime_ns when it was indexed.
    """

    path: Path
    stamp: Stamp


@dataclasses.dataclass(frozen=True)
class Contents:
    """Where the samples of a shard lie.

    Args:
        shard: The file.
        ids: `NAME/KEY` of the samples, unique, in the order of their pictures.
        labels: Name of the class of each.
        places: Where the bytes of each picture begin, and their number, int64
            `(num_samples, 2)`.
        ignored: `NAME/MEMBER` of members that belong to no sample.
    """

    shard: Shard
    ids: list[str]
    labels: list[str]
    places: np.ndarray
    ignored: list[str]


def read_shard(path: Path, name: str, label_key: str | None) -> Contents:
    """Reads what lies where in a shard, and the labels.

    Args:
        path: The tar file.
        name: What ids call it.
        label_key: Key of the label in `.json` members; `None` for `.cls`, or
            `label` where there is none.

    Raises:
        SourceError: If it is no whole tar file, or a sample has no label or
            two pictures.
    """
    pictures: dict[str, tuple[int, int]] = {}
    labels: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    wanted = (DOCUMENT,) if label_key else (CLASS, DOCUMENT)
    try:
        with (
            path.open("rb") as file,
            tarfile.open(fileobj=file, mode="r:") as tar,
        ):
            stamp = stamp_of(os.fstat(file.fileno()))
            for member in tar:
                if member.isdir() or is_left_by_system(
                    os.path.basename(member.name)
                ):
                    continue
                key, ending = _divide_name(member.name)
                if not member.isreg() or member.issparse():
                    others.append((key, member.name))  # Not bytes in place.
                elif f".{ending}" in PICTURE_SUFFIXES:
                    if key in pictures:
                        raise _refuse(path, key, "has two pictures", "one")
                    pictures[key] = member.offset_data, member.size
                elif ending in wanted:
                    text = os.pread(
                        file.fileno(), member.size, member.offset_data
                    )
                    label = _find_label(text, ending, label_key or LABEL_KEY)
                    if label and (ending == CLASS or key not in labels):
                        labels[key] = sys.intern(label)  # One text a class.
                    others.append((key, member.name))
                else:
                    others.append((key, member.name))
            _require_end(file.fileno(), tar.offset)
    except (tarfile.TarError, OSError) as error:
        raise SourceError(
            f"The shard {path} cannot be read: {error}. Expected: a whole tar "
            "file that is not compressed, whose parts are read in place. "
            "Write or fetch it again, and run the command again."
        ) from error
    for key in pictures:
        if key not in labels:
            raise _refuse(
                path,
                key,
                "has no label",
                f"{label_key!r} in a .json member"
                if label_key
                else f"a .cls member, or {LABEL_KEY!r} in a .json member",
            )
    return Contents(
        shard=Shard(path, stamp),
        ids=[f"{name}/{key}" for key in pictures],
        labels=[labels[key] for key in pictures],
        places=np.array(list(pictures.values()), np.int64).reshape(-1, 2),
        ignored=[f"{name}/{m}" for key, m in others if key not in pictures],
    )


def _require_end(descriptor: int, offset: int) -> None:
    """Refuses a file that ends before its end mark, or goes on behind it.

    Raises:
        tarfile.ReadError: Says which.
    """
    if os.pread(descriptor, tarfile.BLOCKSIZE, offset) != END:
        raise tarfile.ReadError("it has no end, so it was cut")
    while block := os.pread(descriptor, READ_SIZE, offset):
        if block.count(0) != len(block):
            raise tarfile.ReadError(
                "something follows its end, as if files had been joined"
            )
        offset += len(block)


def _refuse(path: Path, key: str, problem: str, expected: str) -> SourceError:
    return SourceError(
        f"The sample {key!r} of the shard {path} {problem}. Expected: "
        f"{expected}. Write the shard anew, or say where labels are with "
        "`--label-from KEY`, a key of the .json members."
    )


def _divide_name(name: str) -> tuple[str, str]:
    """Returns key and ending of a member: `a/1.seg.png` is `a/1`, `seg.png`."""
    folder, slash, last = name.rpartition("/")
    key, _, ending = last.partition(".")
    return f"{folder}{slash}{key}", ending.lower()


def _find_label(text: bytes, ending: str, key: str) -> str:
    """Returns the label in a member, or `""` where it has none."""
    if ending == CLASS:
        return text.decode(errors="replace").strip()
    try:
        document = json.loads(text)
    except ValueError:
        return ""
    label = document.get(key) if isinstance(document, Mapping) else None
    is_label = isinstance(label, str | int) and not isinstance(label, bool)
    return str(label).strip() if is_label else ""
