"""Folders of pictures: `train/<class>/*`, `test/<class>/*`, or `<class>/*`."""

from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embed.errors import SourceError
from embed.sources.source import SPLITS
from embed.sources.source import Source
from embed.sources.source import SplitIndex
from embed.splits import TEST_SHARE
from embed.splits import is_held_out

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"})
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
            paths = {split: _images_below(root / split) for split in SPLITS}
        else:
            paths = _divide(_images_below(root))
        if not any(paths.values()):
            raise SourceError(
                f"The folder {root} holds no pictures. Expected: "
                "train/<class>/* and test/<class>/*, or <class>/*, with the "
                f"endings {sorted(IMAGE_SUFFIXES)}. Put pictures there or "
                "name another with `--dataset folder:DIR`."
            )
        class_names = sorted(
            {_class_of(i) for split in paths.values() for i in split}
        )
        self._paths = {split: list(p.values()) for split, p in paths.items()}
        super().__init__(
            name="folder",
            version="",
            class_names=class_names,
            splits={
                split: SplitIndex(
                    tuple(by_id),
                    np.array(
                        [class_names.index(_class_of(i)) for i in by_id],
                        np.int32,
                    ),
                )
                for split, by_id in paths.items()
            },
        )

    def read(self, split: str, rows: Sequence[int]) -> Iterator[bytes]:
        """Yields the bytes of each file.

        Raises:
            SourceError: If one cannot be read.
        """
        for row in rows:
            path = self._paths[split][row]
            try:
                yield path.read_bytes()
            except OSError as error:
                raise SourceError(
                    f"The picture {path} cannot be read: {error.strerror}. "
                    "What is finished is kept: put it back, or make it "
                    "readable, and run the command again."
                ) from error


def _has_splits(root: Path) -> bool:
    """Tells `train/` and `test/` from folders of classes.

    Raises:
        SourceError: If the folder is neither of the two.
    """
    there = {p.name for p in root.iterdir() if p.is_dir()} & SPLIT_NAMES
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


def _images_below(root: Path) -> dict[str, Path]:
    """Returns the pictures in the class folders below `root`, by id.

    Raises:
        SourceError: If a name is no UTF-8, and so no id.
    """
    by_id = {
        path.relative_to(root).as_posix(): path
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    }
    for folder in sorted(root.iterdir()):
        if (
            folder.is_dir()
            and not folder.name.startswith(".")
            and any(path.is_file() for path in folder.rglob("*"))
            and not any(_class_of(i) == folder.name for i in by_id)
        ):
            raise SourceError(
                f"The class folder {folder} holds files but no pictures. "
                f"Expected: the endings {sorted(IMAGE_SUFFIXES)}. Convert "
                "them, or move the folder away, and run the command again."
            )
    try:
        "".join(by_id).encode()
    except UnicodeEncodeError as error:
        raise SourceError(
            f"A picture below {root} has a name that is no UTF-8, near "
            f"{error.object[error.start - 20 : error.end]!a}. Expected: "
            "UTF-8. Rename it and run the command again."
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
