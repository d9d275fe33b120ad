"""A source: where encoded images and their labels come from."""

import abc
import dataclasses
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic

from embed.errors import SourceError
from embed.splits import sample_rows

MIN_CLASSES = 2  # Fewer make no classification problem.
SPLITS = ("train", "test")


class SourceRequest(pydantic.BaseModel, frozen=True, extra="forbid"):
    """What a user asks for; enough to open the same source again.

    Args:
        dataset: `tfds:NAME`, `folder:DIR` or `digits`.
        data_dir: Where TFDS keeps its datasets; `None` for its default.
        limit: Largest number of images a split; `None` for all.
    """

    dataset: str
    data_dir: str | None = None
    limit: int | None = pydantic.Field(default=None, ge=1)

    def anchored(self) -> "SourceRequest":
        """Returns the request with absolute paths, good from any folder."""
        kind, _, name = self.dataset.partition(":")
        changes: dict[str, str] = {}
        if kind == "folder" and name:
            changes["dataset"] = f"folder:{Path(name).expanduser().absolute()}"
        if self.data_dir is not None:
            data_dir = Path(self.data_dir).expanduser().absolute()
            changes["data_dir"] = str(data_dir)
        return self.model_copy(update=changes)


@dataclasses.dataclass(frozen=True)
class SplitIndex:
    """Ids and labels of one split, in row order.

    Args:
        image_ids: Unique ids.
        labels: Class indices, int32 `(num_images,)`.
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
        splits: Index by split, `train` and `test`.
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
        self.ignored = tuple(ignored)
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


class LimitedSource(Source):
    """The images of smallest hash of another source: a fair small sample.

    Args:
        source: The whole source.
        limit: Largest number of images a split.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._rows = {
            split: sample_rows(index.image_ids, limit, salt="limit")
            for split, index in source.splits.items()
        }
        super().__init__(
            name=source.name,
            version=source.version,
            class_names=source.class_names,
            splits={
                split: index.take(self._rows[split])
                for split, index in source.splits.items()
            },
            ignored=source.ignored,
        )

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row."""
        return self._source.read(split, self._rows[split][list(rows)].tolist())

    def stamps(self, split: str) -> np.ndarray | None:
        """Returns those of its own rows."""
        stamps = self._source.stamps(split)
        return None if stamps is None else stamps[self._rows[split]]


def _check(source: Source) -> None:
    """Refuses what no head can be trained or judged on."""
    if len(source.class_names) < MIN_CLASSES:
        raise SourceError(
            f"The dataset {source.name} has a single class, "
            f"{list(source.class_names)}. Expected: at least {MIN_CLASSES} "
            "classes. Add pictures of another class, one folder each."
        )
    for name in source.class_names:
        if not name.isprintable():
            raise SourceError(
                f"The class name {name!r} of {source.name} cannot be printed "
                "on a line. Expected: letters, digits and signs. Rename it and "
                "run the command again."
            )
    for split in SPLITS:
        index = source.splits.get(split)
        if index is None or not index.image_ids:
            counts = {name: len(i.labels) for name, i in source.splits.items()}
            raise SourceError(
                f"The dataset {source.name} has no images in its {split} "
                f"split. Expected: images in {list(SPLITS)}. Received: "
                f"{counts}. Add some and run the command again."
            )
        duplicates = len(index.image_ids) - len(set(index.image_ids))
        if duplicates:
            raise SourceError(
                f"The {split} split of {source.name} has {duplicates} images "
                "whose id another image has. Expected: unique ids. Rename "
                "them and run the command again."
            )
