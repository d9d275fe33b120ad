"""How the pictures of a folder are divided into splits and classes.

train/<class>/**, test/<class>/**, or <class>/**   --label-from folder
train/**/<class>_12.jpg and test, or without       --label-from name
**, as a CSV or Parquet file says                  --labels FILE
**, without classes                                --label-from none
"""

import dataclasses
import os
import re
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path

from embed.decoding.formats import FORMATS
from embed.errors import SourceError
from embed.sources.files import Names
from embed.sources.files import is_folder
from embed.sources.files import list_names
from embed.sources.files import path_order
from embed.sources.files import scan
from embed.sources.label_list import read_label_list
from embed.sources.source import SPLITS
from embed.sources.source import UNLABELLED
from embed.sources.source import divide

# What else may be called a split, in small letters or capitals; validation is
# carved out of train.
SPLIT_NAMES = frozenset(
    {*SPLITS, "training", "testing", "val", "valid", "validation"}
)
USUAL_NAMES = {split: split for split in SPLITS}
# `Abyssinian_12`, `cat.12` and `dog (12)`, or `cat12`: of the first the class
# may end in a digit.
NUMBERED = re.compile(r"(.+?)[ _.(-]+\d+\)?|(.*\D)\d+")


@dataclasses.dataclass(frozen=True)
class Layout:
    """The pictures of a folder, by split.

    Args:
        folders: What ids are relative to.
        image_ids: Names below that folder, in row order.
        labels: Name of the class of each; empty where there are no classes.
        is_given: Whether the splits were given, and not made by hash.
        ignored: Names of files that are no pictures, below the root.
    """

    folders: dict[str, Path]
    image_ids: dict[str, list[str]]
    labels: dict[str, list[str]]
    is_given: bool
    ignored: list[str]


def arrange_by_folder(
    root: Path, split_names: Mapping[str, str] | None
) -> Layout:
    """Takes the first folder below each split, or the root, as the class.

    Args:
        root: The folder.
        split_names: What the folders of the splits are called, `None` where
            nobody said.

    Raises:
        SourceError: If there are no pictures, or a class has none.
    """
    return _arrange(root, split_names, _list_classes, _folder_of)


def arrange_by_name(
    root: Path, split_names: Mapping[str, str] | None
) -> Layout:
    """Takes a picture's name without its number as the class.

    Raises:
        SourceError: If there are no pictures, or a name has no number.
    """
    return _arrange(root, split_names, list_names, _class_in_name)


def arrange_unlabelled(root: Path) -> Layout:
    """Takes all pictures below a folder, without classes."""
    names = list_names(root)
    return Layout(
        folders={UNLABELLED: root},
        image_ids={UNLABELLED: names.pictures},
        labels={},
        is_given=True,
        ignored=names.ignored,
    )


def arrange_by_list(
    root: Path, list_path: Path, split_names: Mapping[str, str] | None
) -> Layout:
    """Takes the pictures that a list names, sorted, with its labels.

    Args:
        root: What the paths in the list are relative to.
        list_path: A CSV or Parquet file.
        split_names: What the list calls the splits, `None` where nobody said.

    Raises:
        SourceError: If the list or a picture cannot be had, or is not right.
    """
    listed = read_label_list(list_path, split_names or USUAL_NAMES)
    gone = [
        i for i in listed.labels if not os.path.exists(os.path.join(root, i))
    ]
    if gone:
        raise SourceError(
            f"The list {list_path} names {len(gone):,} of "
            f"{len(listed.labels):,} pictures that are not below {root}, "
            f"{gone[0]!r} the first. Expected: paths relative to that folder. "
            "Put them there, or take them out of the list, and run the "
            "command again."
        )
    image_ids = listed.ids_by_split
    if listed.labels and not image_ids and split_names is not None:
        raise SourceError(
            f"The list {list_path} has no column split. Expected: one that "
            f"says {' or '.join(split_names.values())}. Add it, or leave out "
            "`--train-split` and `--test-split`: then one picture in five is "
            "tested on."
        )
    if not image_ids:
        image_ids = _divide(sorted(listed.labels, key=path_order))
    return Layout(
        folders=dict.fromkeys(SPLITS, root),
        image_ids=image_ids,
        labels={
            split: [listed.labels[i] for i in ids]
            for split, ids in image_ids.items()
        },
        is_given=bool(listed.ids_by_split),
        ignored=[],
    )


def _arrange(
    root: Path,
    split_names: Mapping[str, str] | None,
    list_below: Callable[[Path], Names],
    class_of: Callable[[str], str],
) -> Layout:
    is_given = _has_splits(root, split_names)
    split_names = split_names or USUAL_NAMES
    if is_given:
        folders = {split: root / name for split, name in split_names.items()}
        found = {split: list_below(path) for split, path in folders.items()}
        image_ids = {split: names.pictures for split, names in found.items()}
        ignored = [
            f"{split_names[split]}/{name}"
            for split, names in found.items()
            for name in names.ignored
        ]
    else:
        names = list_below(root)
        folders = dict.fromkeys(SPLITS, root)
        image_ids, ignored = _divide(names.pictures), names.ignored
    return Layout(
        folders=folders,
        image_ids=image_ids,
        labels={s: [*map(class_of, ids)] for s, ids in image_ids.items()},
        is_given=is_given,
        ignored=ignored,
    )


def _divide(image_ids: list[str]) -> dict[str, list[str]]:
    return {
        split: [image_ids[row] for row in rows.tolist()]
        for split, rows in divide(image_ids).items()
    }


def _has_splits(root: Path, split_names: Mapping[str, str] | None) -> bool:
    """Tells `train/` and `test/`, or as they are called, from classes.

    Args:
        root: The folder.
        split_names: What the folders of the splits are called, `None` where
            nobody said.

    Raises:
        SourceError: If the folder is neither of the two.
    """
    is_asked = split_names is not None
    split_names = split_names or USUAL_NAMES
    wanted = set(split_names.values())
    there = {
        entry.name
        for entry in scan(root)
        if is_folder(entry)
        and (entry.name in wanted or entry.name.lower() in SPLIT_NAMES)
    }
    if wanted <= there and is_asked:
        return True  # Others are left alone: these were asked for.
    if there != wanted and (there or is_asked):
        raise SourceError(
            f"The folder {root} is divided into {sorted(there)}. Expected: "
            f"{split_names['train']}/ and {split_names['test']}/, of which "
            "validation is carved by itself, or one folder a class. Name two "
            "of them with `--train-split` and `--test-split`, and others are "
            "left alone; or rename them, and run the command again."
        )
    return bool(there)


def _list_classes(root: Path) -> Names:
    """Returns what lies in the class folders below `root`, and beside them.

    Raises:
        SourceError: If a class folder holds files but no pictures.
    """
    pictures: list[str] = []
    ignored: list[str] = []
    for entry in sorted(scan(root), key=lambda entry: entry.name):
        if not is_folder(entry):
            ignored.append(entry.name)
            continue
        names = list_names(entry.path)
        if names.ignored and not names.pictures:
            raise SourceError(
                f"The class folder {entry.path} holds files but no pictures, "
                f"for one {names.ignored[0]}. Expected: {FORMATS}. Convert "
                "them, or move the folder away, and run the command again."
            )
        pictures += [f"{entry.name}/{name}" for name in names.pictures]
        ignored += [f"{entry.name}/{name}" for name in names.ignored]
    return Names(pictures, ignored)


def _folder_of(image_id: str) -> str:
    return image_id.partition("/")[0]


def _class_in_name(image_id: str) -> str:
    name = image_id.rpartition("/")[2]
    match = NUMBERED.fullmatch(os.path.splitext(name)[0])
    if match is None:
        raise SourceError(
            f"The name of the picture {image_id!r} does not say its class. "
            "Expected: a class and a number, as in Abyssinian_12.jpg. Rename "
            "it or move it away, or give the labels with `--labels FILE`."
        )
    return match[1] or match[2]
