"""The rows of a search: read when they are needed, and held."""

import functools

from embed.cache import FeatureCache
from embed.console import Console
from embed.rows import Rows
from embed.splits import Selection
from embed.splits import TrainSplit
from embed.stream import Reader
from embed.stream import RowStream
from embed.stream import choose_reader
from tune.sample import TRAIN
from tune.sample import divide_rows
from tune.spec import SearchSpec

TrainAndVal = tuple[Rows | RowStream, Rows | RowStream]


class SearchRows:
    """What the heads of a search are trained on and scored by.

    Args:
        cache: Where it lies.
        spec: Of the search; says which rows, and how many folds.
        memory_limit: Bytes that features may take; more are streamed.
        console: Is told whether they are held in memory.
    """

    def __init__(
        self,
        cache: FeatureCache,
        spec: SearchSpec,
        *,
        memory_limit: int,
        console: Console,
    ) -> None:
        self._cache, self._spec = cache, spec
        self._memory_limit, self._console = memory_limit, console

    @property
    def num_classes(self) -> int:
        """Number of classes of the cache."""
        return len(self._cache.spec.class_names)

    @functools.cached_property
    def splits(self) -> list[TrainSplit]:
        """Which they are, of each fold; `divide_rows` has the errors."""
        return divide_rows(self._cache, self._spec)

    @functools.cached_property
    def folds(self) -> list[TrainAndVal]:
        """The rows to train on and those to score by, of each fold."""
        return [
            (self._read(split.train), self._read(split.val))
            for split in self.splits
        ]

    def release(self) -> None:
        """Lets go of them; they are read again where they are needed."""
        self.__dict__.pop("folds", None)

    def describe(self) -> str:
        """Returns how many there are, in words."""
        num_train = sum(_count(split.train) for split in self.splits)
        num_val = sum(_count(split.val) for split in self.splits)
        text = f"{num_train:,} training and {num_val:,} validation images"
        if self._spec.folds > 1:
            text = f"{num_val:,} images in {self._spec.folds} folds"
        if self._spec.rows is None:
            return text
        return f"{text}, a sample of the {self._cache.num_images[TRAIN]:,}"

    @functools.cached_property
    def _read(self) -> Reader:
        return choose_reader(
            self._cache,
            self._memory_limit,
            self._console,
            num_sampled=self._spec.rows,
            num_copies=self._spec.folds,  # Each has its own.
        )


def _count(selection: Selection) -> int:
    return 0 if selection.rows is None else len(selection.rows)
