"""Tar shards: which there are, of which split, and what lies where in one."""

import dataclasses
import glob
import json
import os
import re
import tarfile
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

from embed.decoding.formats import PICTURE_SUFFIXES
from embed.errors import SourceError
from embed.sources.files import is_folder
from embed.sources.files import is_left_by_system
from embed.sources.files import walk
from embed.sources.layout import SPLIT_NAMES
from embed.sources.layout import USUAL_NAMES

SUFFIX = ".tar"
CLASS, DOCUMENT = "cls", "json"  # Endings of members that hold a label.
LABEL_KEY = "label"  # Of a document, unless another one is named.
MAX_SHARDS = 1_000_000  # Of a pattern: more is a slip of the keys.
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
END = bytes(tarfile.BLOCKSIZE)  # Without it tarfile takes a cut for the end.
READ_SIZE = 2**20  # Of what follows the end: some kB, seldom more.
Stamp = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Shard:
    """Where the samples of a tar file lie.

    Args:
        path: The file.
        name: Its path without the ending, relative to the folder of all.
        stamp: Size, mtime_ns and ctime_ns when it was indexed.
        keys: Of the samples, unique, in the order of their pictures.
        labels: Name of the class of each.
        places: Where the bytes of each picture begin, and their number.
        ignored: `NAME/MEMBER` of members that belong to no sample.
    """

    path: Path
    name: str
    stamp: Stamp
    keys: list[str]
    labels: list[str]
    places: list[tuple[int, int]]
    ignored: list[str]


def find_shards(pattern: str) -> list[Path]:
    """Returns the shards of a pattern, sorted; of a folder all below it.

    Args:
        pattern: A folder, or paths with `{000..003}`, `{a,b}`, `*` and `?`.

    Raises:
        SourceError: If there are none, or one of a range is missing.
    """
    if os.path.isdir(pattern):
        paths = sorted(
            Path(entry.path)
            for entry in walk(pattern)
            if entry.name.endswith(SUFFIX) and not is_folder(entry)
        )
        missing = [] if paths else [os.path.join(pattern, f"*{SUFFIX}")]
    else:
        paths, missing = [], []
        for one in _expand(pattern):
            matches = glob.glob(one, recursive=True)
            paths += map(Path, matches)
            missing += [] if matches else [one]
        paths = sorted(set(paths))
        if not paths:
            missing = missing or [pattern]
    if missing:
        raise SourceError(
            f"There is no shard {missing[0]}. Expected: tar files. Received: "
            f"{len(paths):,} that are there. Name those with `--dataset "
            "'wds:DIR/train-{000..003}.tar'`, in quotes, or their folder with "
            "`wds:DIR`."
        )
    return paths


def name_shards(paths: Sequence[Path]) -> list[str]:
    """Returns each path below the folder of all, without its ending."""
    folder = os.path.commonpath([path.parent for path in paths])
    return [p.relative_to(folder).with_suffix("").as_posix() for p in paths]


def split_shards(
    pattern: str, names: Sequence[str], split_names: Mapping[str, str]
) -> list[str] | None:
    """Returns the split of each shard, by the words of its name.

    Args:
        pattern: Where they are, for errors.
        names: Of the shards.
        split_names: What the splits are called there.

    Returns:
        `None` where no name says `test`: then pictures are divided.

    Raises:
        SourceError: If the names say something else.
    """
    split_of_word = {name.lower(): s for s, name in split_names.items()}
    known = SPLIT_NAMES | split_of_word.keys()
    words = [known.intersection(_words(name)) for name in names]
    there = set[str]().union(*words)
    if split_names == USUAL_NAMES and there <= {"train"}:
        return None
    of_shards = [{split_of_word.get(word) for word in w} for w in words]
    unclear = [
        name
        for name, splits in zip(names, of_shards, strict=True)
        if len(splits) != 1 or None in splits
    ]
    if unclear:
        raise SourceError(
            f"The shard {unclear[0]}{SUFFIX} of {pattern} is of no split. "
            f"Expected: names that say {' or '.join(split_of_word)}; "
            "validation is carved out of train by itself. Received: "
            f"{sorted(there)}. Name shards of these alone, or say what they "
            "call the splits with `--train-split` and `--test-split`."
        )
    return [str(splits.pop()) for splits in of_shards]


def read_shard(path: Path, name: str, label_key: str | None) -> Shard:
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
                        labels[key] = label
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
    return Shard(
        path=path,
        name=name,
        stamp=stamp,
        keys=list(pictures),
        labels=[labels[key] for key in pictures],
        places=list(pictures.values()),
        ignored=[f"{name}/{m}" for key, m in others if key not in pictures],
    )


def stamp_of(status: os.stat_result) -> Stamp:
    """Returns what tells, without reading, that a file is the same."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


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


def _expand(pattern: str) -> list[str]:
    """Returns the paths of a pattern with braces; none of an empty range.

    Raises:
        SourceError: If there are more than anyone has shards.
    """
    patterns = [pattern]
    # All have as many braces: what is put in has none.
    while patterns and BRACES.search(patterns[0]):
        expanded: list[str] = []
        for one in patterns:
            before, body, after = BRACES.split(one, maxsplit=1)
            numbers = RANGE.fullmatch(body)
            count = (
                max(0, int(numbers[2]) - int(numbers[1]) + 1)
                if numbers
                else body.count(",") + 1
            )
            if len(expanded) + count > MAX_SHARDS:
                raise SourceError(
                    f"The pattern {pattern} stands for more than "
                    f"{MAX_SHARDS:,} shards. Expected: fewer. Mend it, or "
                    "name the folder of the shards with `--dataset wds:DIR`."
                )
            expanded += [f"{before}{c}{after}" for c in _choices(body)]
        patterns = expanded
    return patterns


def _choices(body: str) -> Iterable[str]:
    """Returns what stands in braces: a range, whose zeros stay, or a list."""
    numbers = RANGE.fullmatch(body)
    if numbers is None:
        return body.split(",")
    first, last = int(numbers[1]), int(numbers[2])
    return (f"{n:0{len(numbers[1])}}" for n in range(first, last + 1))


def _words(name: str) -> list[str]:
    return re.findall("[a-z]+", name.lower())


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
