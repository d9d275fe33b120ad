"""Folders of pictures: `train/<class>/*`, `test/<class>/*`, or `<class>/*`."""

import os
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embed.decoding.formats import FORMATS
from embed.errors import SourceError
from embed.sources.files import ERRORS_OF_ONE_FILE
from embed.sources.files import Listing
from embed.sources.files import UnfitFileError
from embed.sources.files import is_folder
from embed.sources.files import list_files
from embed.sources.files import read_file
from embed.sources.files import scan
from embed.sources.source import SPLITS
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import SplitIndex
from embed.splits import TEST_SHARE
from embed.splits import is_held_out

SPLIT_NAMES = frozenset({*SPLITS, "val", "valid", "validation"})


class FolderSource(Source):
    """One folder a class, below `train` and `test` or at the top.

    Without `train` and `test` folders, one image in five goes to the test
    split by the hash of its id, so that adding images never moves an old one.
    Ids are paths relative to the split's folder, with `/` on every system.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        require_folder(root)
        if _has_splits(root):
            self._folders = {split: root / split for split in SPLITS}
            of_splits = {s: _list_below(f) for s, f in self._folders.items()}
            paths = {s: _by_id(root / s, of_splits[s]) for s in SPLITS}
            ignored = [p for one in of_splits.values() for p in one.ignored]
        else:
            self._folders = dict.fromkeys(SPLITS, root)
            listing = _list_below(root)
            paths = _divide(_by_id(root, listing))
            ignored = list(listing.ignored)
        if not any(paths.values()):
            raise SourceError(
                f"The folder {root} holds no pictures. Expected: "
                "train/<class>/* and test/<class>/*, or <class>/*, of "
                f"{FORMATS}. Put pictures there or name another with "
                "`--dataset folder:DIR`."
            )
        class_names = sorted(
            {_class_of(i) for split in paths.values() for i in split}
        )
        label_of = {name: label for label, name in enumerate(class_names)}
        self._paths = {split: list(p.values()) for split, p in paths.items()}
        super().__init__(
            name="folder",
            version="",
            class_names=class_names,
            splits={
                split: SplitIndex(
                    tuple(by_id),
                    np.array([label_of[_class_of(i)] for i in by_id], np.int32),
                )
                for split, by_id in paths.items()
            },
            ignored=[path.relative_to(root).as_posix() for path in ignored],
        )

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row, with a problem where it cannot be read.

        Raises:
            SourceError: If the storage fails, or the whole folder is gone.
        """
        for row in rows:
            yield self._read_one(split, self._paths[split][row])

    def stamps(self, split: str) -> np.ndarray:
        """Returns those of each file, of what a link leads to."""
        paths = self._paths[split]
        stamps = np.full((len(paths), 3), -1, np.int64)
        for row, path in enumerate(paths):
            try:
                file = os.stat(path)
            except OSError:  # Reading says why.
                continue
            stamps[row] = file.st_size, file.st_mtime_ns, file.st_ctime_ns
        return stamps

    def _read_one(self, split: str, path: Path) -> Picture:
        try:
            return Picture(read_file(path))
        except UnfitFileError as error:
            return Picture(b"", f"it cannot be read: {error}")
        except OSError as error:
            is_alone = error.errno in ERRORS_OF_ONE_FILE
            if is_alone and _holds_anything(self._folders[split]):
                return Picture(b"", f"it cannot be read: {error.strerror}")
            raise SourceError(
                f"The picture {path} cannot be read: {error.strerror}. What is "
                "finished is kept: put the folder back, or mend its storage, "
                "and run the command again."
            ) from error


def _has_splits(root: Path) -> bool:
    """Tells `train/` and `test/` from folders of classes.

    Raises:
        SourceError: If the folder is neither of the two.
    """
    there = {
        entry.name for entry in scan(root) if is_folder(entry)
    } & SPLIT_NAMES
    if there and there != set(SPLITS):
        raise SourceError(
            f"The folder {root} is divided into {sorted(there)}. Expected: "
            "train/ and test/, of which validation is carved by itself, or "
            "one folder a class. Rename or move its folders and run the "
            "command again."
        )
    return bool(there)


def require_folder(root: Path) -> None:
    """Refuses a folder that is not there.

    Raises:
        SourceError: Says what is expected of it.
    """
    if not root.is_dir():
        raise SourceError(
            f"There is no folder {root}. Expected: a folder that holds "
            "train/<class>/ and test/<class>/, or <class>/. Give one with "
            "`--dataset folder:DIR`."
        )


def _holds_anything(folder: Path) -> bool:
    """Tells a folder from one that is gone, or that nothing is mounted on."""
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except OSError:
        return False


def _list_below(root: Path) -> Listing:
    """Returns what lies in the class folders below `root`, and beside them.

    Raises:
        SourceError: If a class folder holds files but no pictures.
    """
    pictures: list[Path] = []
    ignored: list[Path] = []
    for entry in sorted(scan(root), key=lambda entry: entry.name):
        path = Path(entry.path)
        if not is_folder(entry):
            ignored.append(path)
            continue
        listing = list_files(path)
        if listing.ignored and not listing.pictures:
            raise SourceError(
                f"The class folder {path} holds files but no pictures, for "
                f"one {listing.ignored[0].name}. Expected: {FORMATS}. Convert "
                "them, or move the folder away, and run the command again."
            )
        pictures += listing.pictures
        ignored += listing.ignored
    return Listing(tuple(pictures), tuple(ignored))


def _by_id(root: Path, listing: Listing) -> dict[str, Path]:
    """Returns the pictures by their id.

    Raises:
        SourceError: If a name is no UTF-8, and so no id.
    """
    by_id = {p.relative_to(root).as_posix(): p for p in listing.pictures}
    try:
        "".join(by_id).encode()
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 20) : error.end]
        raise SourceError(
            f"A picture below {root} has a name that is no UTF-8, near "
            f"{near!a}. Expected: UTF-8. Rename it and run the command again."
        ) from error
    return by_id


def _divide(by_id: dict[str, Path]) -> dict[str, dict[str, Path]]:
    in_test = is_held_out(list(by_id), TEST_SHARE, salt="test")
    sides = zip(by_id.items(), in_test, strict=True)
    divided: dict[str, dict[str, Path]] = {"train": {}, "test": {}}
    for (image_id, path), is_test in sides:
        divided["test" if is_test else "train"][image_id] = path
    return divided


def _class_of(image_id: str) -> str:
    return image_id.partition("/")[0]
