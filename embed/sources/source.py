"""A source: where encoded images and their labels come from."""

import abc
import dataclasses
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from embed.errors import SourceError
from embed.splits import TEST_SHARE
from embed.splits import is_held_out

MIN_CLASSES = 2  # Fewer make no classification problem.
SPLITS = ("train", "test")
UNLABELLED = "unlabelled"  # The one split of pictures without classes.
NO_LABEL = -1  # Of each of them, as in TFDS.


@dataclasses.dataclass(frozen=True)
class SplitIndex:
    """Ids and labels of one split, in row order.

    Args:
        image_ids: Unique ids.
        labels: Class indices, int32 `(num_images,)`, -1 where there are no
            classes.
    """

    image_ids: tuple[str, ...]
    labels: np.ndarray

    def __post_init__(self) -> None:
        if len(self.image_ids) != len(self.labels):
            raise ValueError(
                "Expected one label per image id. Received: "
                f"{len(self.labels)} labels, {len(self.image_ids)} ids."
            )

    def take(self, rows: np.ndarray) -> "SplitIndex":
        """Returns the index of some rows."""
        image_ids = tuple(self.image_ids[row] for row in rows)
        return SplitIndex(image_ids, self.labels[rows])


@dataclasses.dataclass(frozen=True)
class Picture:
    """What a source reads of one row.

    Args:
        encoded: The bytes of its file.
        problem: Why it could not be read, or empty.
    """

    encoded: bytes
    problem: str = ""


class Source(abc.ABC):
    """Labelled pictures, by split; rows keep their order for ever.

    Args:
        name: What the fingerprint calls it.
        version: Version of the data, `""` where there is none.
        class_names: Names by class index.
        splits: Index by split, `train` and `test`; of pictures without
            classes `unlabelled` alone.
        ignored: Names of files that lie there and are no pictures.
    """

    def __init__(
        self,
        *,
        name: str,
        version: str,
        class_names: Sequence[str],
        splits: Mapping[str, SplitIndex],
        ignored: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.version = version
        self.class_names = tuple(class_names)
        self.splits = dict(splits)
        # As they can be printed: a name may be no UTF-8.
        self.ignored = tuple(
            name.encode(errors="backslashreplace").decode() for name in ignored
        )
        _check(self)

    @abc.abstractmethod
    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row, with a problem where it cannot be read.

        Args:
            split: `"train"` or `"test"`.
            rows: Row numbers, ascending.

        Raises:
            SourceError: If not the picture but what it lies on fails.
        """

    def stamps(self, split: str) -> np.ndarray | None:
        """Returns what tells, without reading, that a picture is the same.

        Size in bytes, mtime_ns and ctime_ns of the file each lies in, as they
        are now: what git's index keeps. The last is there because the second
        can be set back.

        Args:
            split: `"train"` or `"test"`.

        Returns:
            int64 `(num_images, 3)`, -1 where there is no such file any more;
            `None` where only reading tells.
        """
        return None


def index_by_name(
    image_ids: Sequence[str], labels: Sequence[str], names: Sequence[str]
) -> SplitIndex:
    """Returns the index of a split whose labels are names of classes.

    Args:
        image_ids: Unique ids.
        labels: Name of the class of each.
        names: Names by class index.
    """
    number_of = {name: number for number, name in enumerate(names)}
    numbers = np.array([number_of[label] for label in labels], np.int32)
    return SplitIndex(tuple(image_ids), numbers)


def index_unlabelled(image_ids: Sequence[str]) -> SplitIndex:
    """Returns the index of pictures without classes."""
    labels = np.full(len(image_ids), NO_LABEL, np.int32)
    return SplitIndex(tuple(image_ids), labels)


def divide(image_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns rows by split where a dataset comes without a test split.

    One image in five goes to the test split by the hash of its id, so that
    adding images never moves an old one.

    Raises:
        SourceError: If an id is no text, and so has no hash.
    """
    _require_text(image_ids)
    in_test = is_held_out(image_ids, TEST_SHARE, salt="test")
    return {"train": np.flatnonzero(~in_test), "test": np.flatnonzero(in_test)}


def find_unknown_classes(source: Source) -> list[str]:
    """Returns the classes to test on of which no picture is to train on."""
    if UNLABELLED in source.splits:
        return []
    train, test = (np.unique(source.splits[s].labels) for s in SPLITS)
    return [source.class_names[n] for n in np.setdiff1d(test, train).tolist()]


def require_known_classes(source: Source) -> None:
    """Refuses splits, as they were given, that no head could learn.

    Raises:
        SourceError: If pictures to test on are of a class that has none to
            train on.
    """
    names = find_unknown_classes(source)
    if names:
        raise SourceError(
            f"The train split of {source.name} has no pictures of "
            f"{_count(len(names), 'class')} that the test split has, "
            f"{names[0]!r} the first. Expected: pictures of each class in "
            "train. Add some, or take the class out of test, and run the "
            "command again."
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 'es'}"


def _check(source: Source) -> None:
    """Refuses what can neither be embedded nor trained or judged on."""
    if UNLABELLED in source.splits and not source.class_names:
        _check_ids(source, UNLABELLED)
        return
    for split in SPLITS:
        index = source.splits.get(split)
        if index is None or not index.image_ids:
            counts = {name: len(i.labels) for name, i in source.splits.items()}
            raise SourceError(
                f"The dataset {source.name} has no images in its {split} "
                f"split. Expected: images in {list(SPLITS)}. Received: "
                f"{counts}. Add some and run the command again."
            )
        _check_ids(source, split)
    _check_classes(source)
    for split in SPLITS:
        _check_labels(source, split)


def _check_classes(source: Source) -> None:
    if len(source.class_names) < MIN_CLASSES:
        raise SourceError(
            f"The dataset {source.name} has a single class, "
            f"{list(source.class_names)}. Expected: at least {MIN_CLASSES} "
            "classes. Add pictures of another class, or say where else labels "
            "are with `--label-from`."
        )
    for name in source.class_names:
        if not name.isprintable():
            raise SourceError(
                f"The class name {name!r} of {source.name} cannot be printed "
                "on a line. Expected: letters, digits and signs. Rename it and "
                "run the command again."
            )


def _check_ids(source: Source, split: str) -> None:
    image_ids = source.splits[split].image_ids
    _require_text(image_ids)
    duplicates = len(image_ids) - len(set(image_ids))
    if duplicates:
        raise SourceError(
            f"The {split} split of {source.name} has {duplicates} images "
            "whose id another image has. Expected: unique ids. Rename "
            "them and run the command again."
        )


def _require_text(image_ids: Sequence[str]) -> None:
    """Refuses a name that is no UTF-8, as files and tar members may have."""
    for image_id in image_ids:
        try:
            image_id.encode()
        except UnicodeEncodeError as error:
            raise SourceError(
                f"The name of the picture {image_id!a} is no UTF-8. Expected: "
                "UTF-8. Rename it and run the command again."
            ) from error


def _check_labels(source: Source, split: str) -> None:
    labels = source.splits[split].labels
    is_bad = (labels < 0) | (labels >= len(source.class_names))
    if is_bad.any():
        raise SourceError(
            f"The {split} split of {source.name} has {is_bad.sum():,} images "
            f"of no class, the first labelled {labels[is_bad][0]}. Expected: "
            f"0 to {len(source.class_names) - 1}. Mend the labels, or take "
            f"another split with `--{split}-split`."
        )
