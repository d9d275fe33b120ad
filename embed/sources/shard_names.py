"""Tar shards by their names: which there are, and of which split each is."""

import glob
import os
import re
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

from embed.errors import SourceError
from embed.sources.files import is_folder
from embed.sources.files import walk
from embed.sources.layout import SPLIT_NAMES
from embed.sources.layout import USUAL_NAMES

SUFFIX = ".tar"
MAX_SHARDS = 1_000_000  # Of a pattern: more is a slip of the keys.
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d+)\.\.(\d+)")
# In the name of a shard, where no class stands.
SPLIT_WORDS = SPLIT_NAMES | {"dev", "eval", "evaluation"}


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
    known = SPLIT_WORDS | split_of_word.keys()
    words = [known & _words(name, split_of_word) for name in names]
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


def _words(name: str, wanted: Iterable[str]) -> set[str]:
    """Returns the words of a name: letters alone, but for those wanted."""
    rest, found = name.lower(), set[str]()
    for word in sorted(wanted, key=len, reverse=True):
        apart = rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])"
        if re.search(apart, rest):
            rest = re.sub(apart, " ", rest)
            found.add(word)
    return found.union(re.findall("[a-z]+", rest))
