"""WebDataset shards, `wds:PATTERN`: tar files with a picture and its label.

    train-000.tar: 0001.jpg, 0001.cls, 0002.jpg, 0002.cls, ...

A sample's key is its members' name up to the first dot of the last part; its
label is the text of `.cls`, or `label` in `.json`. Shards are read in place:
an index holds where each picture begins, so that any rows can be read.
Source: https://github.com/webdataset/webdataset.
"""

import os
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from embed.errors import SourceError
from embed.sources.files import stamp_of
from embed.sources.layout import USUAL_NAMES
from embed.sources.request import SourceRequest
from embed.sources.shard_names import find_shards
from embed.sources.shard_names import name_shards
from embed.sources.shard_names import split_shards
from embed.sources.shards import Shard
from embed.sources.shards import read_shard
from embed.sources.source import SPLITS
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import divide
from embed.sources.source import index_by_name
from embed.sources.source import require_known_classes


class WdsSource(Source):
    """The samples of some shards, in the order in which they lie there.

    A shard belongs to the split whose name is a word of its own name; where
    none names a test split, one picture in five goes there by the hash of its
    id. Ids are `SHARD/KEY`.

    Args:
        pattern: Shards, e.g. `"birds/train-{000..003}.tar"`, or their folder.
        label_key: Key of the label in `.json` members; `None` for `.cls`, and
            `label` where there is none.
        split_names: What the splits are called in the names of shards.
    """

    def __init__(
        self,
        pattern: str,
        *,
        label_key: str | None = None,
        split_names: Mapping[str, str] = USUAL_NAMES,
    ) -> None:
        paths = find_shards(pattern)
        names = name_shards(paths)
        split_of = split_shards(pattern, names, split_names)
        ids: list[str] = []
        labels: list[str] = []
        ignored: list[str] = []
        places: list[np.ndarray] = []
        self._shards: list[Shard] = []
        for path, name in zip(paths, names, strict=True):
            contents = read_shard(path, name, label_key)
            ids += contents.ids
            labels += contents.labels
            ignored += contents.ignored
            places.append(contents.places)
            self._shards.append(contents.shard)
        # Of every sample: the number of its shard, and its bytes there.
        self._numbers = np.repeat(np.arange(len(paths)), [*map(len, places)])
        self._places = np.concatenate(places)
        if split_of is None:
            self._rows = divide(ids)
        else:
            of_samples = np.array(split_of)[self._numbers]
            self._rows = {s: np.flatnonzero(of_samples == s) for s in SPLITS}
        class_names = sorted(set(labels))
        super().__init__(
            name="wds",
            version="",
            class_names=class_names,
            splits={
                split: index_by_name(
                    [ids[row] for row in rows.tolist()],
                    [labels[row] for row in rows.tolist()],
                    class_names,
                )
                for split, rows in self._rows.items()
            },
            ignored=ignored,
        )
        if split_of is not None:
            require_known_classes(self)

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row.

        Raises:
            SourceError: If a shard is gone, cut or another one by now.
        """
        number, descriptor = -1, -1
        try:
            for sample in self._rows[split][list(rows)].tolist():
                if self._numbers[sample] != number:
                    if descriptor >= 0:
                        os.close(descriptor)
                        descriptor = -1
                    number = int(self._numbers[sample])
                    descriptor = _open(self._shards[number])
                offset, size = self._places[sample].tolist()
                yield Picture(
                    _take(self._shards[number], descriptor, offset, size)
                )
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def stamps(self, split: str) -> np.ndarray:
        """Returns of every row the stamp of its shard, -1 where it is gone."""
        of_shards = np.full((len(self._shards), 3), -1, np.int64)
        for number, shard in enumerate(self._shards):
            try:
                of_shards[number] = stamp_of(os.stat(shard.path))
            except OSError:  # Reading says why.
                continue
        stamps: np.ndarray = of_shards[self._numbers[self._rows[split]]]
        return stamps


def check_request(request: SourceRequest) -> None:
    """Refuses a pattern that matches no shards.

    Raises:
        SourceError: If one is missing, or splits cannot be told apart.
    """
    names = name_shards(find_shards(request.name))
    split_shards(request.name, names, request.split_names)


def open_request(request: SourceRequest) -> WdsSource:
    """Opens the shards that were asked for."""
    return WdsSource(
        request.name,
        label_key=request.label_from,
        split_names=request.split_names,
    )


def _open(shard: Shard) -> int:
    """Opens a shard that is what it was when it was indexed."""
    try:
        descriptor = os.open(shard.path, os.O_RDONLY)
    except OSError as error:
        raise _unreadable(shard, error.strerror) from error
    if stamp_of(os.fstat(descriptor)) != shard.stamp:
        os.close(descriptor)
        raise _unreadable(shard, "it changed since it was indexed")
    return descriptor


def _take(shard: Shard, descriptor: int, offset: int, size: int) -> bytes:
    """Reads the bytes of a picture."""
    try:
        return os.pread(descriptor, size, offset)
    except OSError as error:
        raise _unreadable(shard, error.strerror) from error


def _unreadable(shard: Shard, reason: str | None) -> SourceError:
    return SourceError(
        f"The shard {shard.path} cannot be read: {reason}. What is finished is "
        "kept: put it back, and run the command again."
    )
