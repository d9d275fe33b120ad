"""Hugging Face datasets, `hf:NAME`, and those that lie here, `hf:DIR`.

A name may be followed by a configuration, `hf:NAME:CONFIG`. Images are taken
undecoded (`Image(decode=False)`), so that TensorFlow decodes them as all
others. Ids are file names where the dataset has them, of class folders with the
folder where names alone are not unique, else example numbers.
"""

import os
import re
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embed.sources.features import ID_FEATURES
from embed.sources.features import choose_feature
from embed.sources.features import choose_ids
from embed.sources.files import read_picture
from embed.sources.files import stamp_together
from embed.sources.hf_loading import ask_hub
from embed.sources.hf_loading import load
from embed.sources.hf_loading import prepare
from embed.sources.request import SourceRequest
from embed.sources.slices import Piece
from embed.sources.slices import resolve_splits
from embed.sources.source import NO_LABEL
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import SplitIndex
from embed.sources.source import index_by_name
from embed.sources.source import require_known_classes

# Dtypes of labels that have no names: those of text and whole numbers.
LABEL = re.compile(r"(large_)?string|u?int(8|16|32|64)")
BATCH_SIZE = 64  # Examples handed over at once: some MB.


class HfSource(Source):
    """A dataset of the Hugging Face Hub, or one that lies here.

    Args:
        request: What was asked for.
    """

    def __init__(self, request: SourceRequest) -> None:
        import datasets

        whole, name = load(request), request.dataset
        features = next(iter(whole.values())).features
        image = choose_feature(name, "Image", _find_images(features))
        label = choose_feature(
            name,
            "ClassLabel",
            _find_labels(features, request.label_from),
            named=request.label_from,
        )
        pieces = resolve_splits(
            name,
            request.split_names,
            {split: len(data) for split, data in whole.items()},
            lambda text: datasets.ReadInstruction.from_spec(text).to_absolute(
                {split: len(data) for split, data in whole.items()}
            ),
        )
        parts = {s: _join(whole, of_split) for s, of_split in pieces.items()}
        names, labels = _read_labels(parts, label)
        self._image = image
        self._parts = {
            split: data.select_columns([image]).cast_column(
                image, datasets.Image(decode=False)
            )
            for split, data in parts.items()
        }
        self._names_files = {s: _names_files(self._chunks(s)) for s in parts}
        super().__init__(
            name="hf" if request.is_local else name,
            version="",
            class_names=names,
            splits={
                split: SplitIndex(
                    self._choose_ids(data, split, pieces[split]), labels[split]
                )
                for split, data in parts.items()
            },
        )
        require_known_classes(self)

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row, with a problem where it cannot be read."""
        data = self._parts[split]
        for start in range(0, len(rows), BATCH_SIZE):
            batch = data[list(rows[start : start + BATCH_SIZE])]
            yield from map(_read_one, batch[self._image])

    def stamps(self, split: str) -> np.ndarray | None:
        """Returns the same of every row: those of all its files together.

        `None` where rows name files of pictures, which change by themselves.
        """
        if self._names_files[split]:
            return None
        paths = {file["filename"] for file in self._parts[split].cache_files}
        return stamp_together(paths, len(self._parts[split]))

    def _choose_ids(
        self, data: Any, split: str, pieces: Sequence[Piece]
    ) -> tuple[str, ...]:
        features = [name for name in ID_FEATURES if name in data.features]
        columns = [[str(v) for v in data[name][:]] for name in features]
        paths = _list_paths(self._chunks(split))
        names = [os.path.basename(path) for path in paths]
        numbers = [
            f"{piece.split}-{number}"
            for piece in pieces
            for number in range(piece.start, piece.stop)
        ]
        return choose_ids([*columns, names, _shorten(paths), numbers])

    def _chunks(self, split: str) -> list[Any]:
        """Returns Arrow's arrays of images, mapped and not read."""
        table = self._parts[split].with_format("arrow")[:]
        chunks: list[Any] = table.column(self._image).chunks
        return chunks


def check_request(request: SourceRequest) -> None:
    """Refuses a dataset that nobody knows, without fetching it.

    Raises:
        SourceError: If it is not there, or the extra is not installed.
    """
    prepare(request)
    if not request.is_local:
        ask_hub(request)


def open_request(request: SourceRequest) -> HfSource:
    """Opens the dataset that was asked for; fetches it where needed."""
    prepare(request)
    return HfSource(request)


def _list_paths(chunks: Sequence[Any]) -> list[str]:
    """Returns the path of each image, `""` where it has none."""
    return [
        path or ""
        for chunk in chunks
        for path in chunk.field("path").to_pylist()
    ]


def _names_files(chunks: Sequence[Any]) -> bool:
    """Tells whether an image is a file that is named instead of its bytes."""
    without_bytes = [
        chunk.filter(chunk.field("bytes").is_null()) for chunk in chunks
    ]
    return any(_list_paths(without_bytes))


def _shorten(paths: Sequence[str]) -> list[str]:
    """Returns paths below the folder that all lie in."""
    parts = [path.replace(os.sep, "/").split("/") for path in paths]
    folders = [of_path[:-1] for of_path in parts if of_path != [""]]
    # Of parts, not of letters.
    num_shared = len(os.path.commonprefix(folders))  # noqa: RUF071
    return ["/".join(of_path[num_shared:]) for of_path in parts]


def _find_images(features: Mapping[str, Any]) -> set[str]:
    """Returns the names of images, or else of what holds encoded bytes."""
    import datasets

    images = {n for n, f in features.items() if isinstance(f, datasets.Image)}
    return images or {
        name
        for name, feature in features.items()
        if (isinstance(feature, dict) and set(feature) == {"bytes", "path"})
        or getattr(feature, "dtype", "") == "binary"
    }


def _find_labels(features: Mapping[str, Any], named: str | None) -> set[str]:
    """Returns the names of labels; text and whole numbers if named so."""
    import datasets

    return {
        name
        for name, feature in features.items()
        if isinstance(feature, datasets.ClassLabel)
        or (
            name in {named, "label"}
            and LABEL.fullmatch(getattr(feature, "dtype", ""))
        )
    }


def _join(whole: Mapping[str, Any], pieces: Sequence[Piece]) -> Any:
    """Returns the examples of a split, one piece behind the other."""
    import datasets

    return datasets.concatenate_datasets(
        [whole[p.split].select(range(p.start, p.stop)) for p in pieces]
    )


def _read_labels(
    parts: Mapping[str, Any], label: str
) -> tuple[Sequence[str], dict[str, np.ndarray]]:
    """Returns the names of the classes, and the labels of each split."""
    import datasets

    columns = {s: list(data[label][:]) for s, data in parts.items()}
    feature = next(iter(parts.values())).features[label]
    if isinstance(feature, datasets.ClassLabel):
        return feature.names, {
            split: np.array(
                [NO_LABEL if v is None else v for v in values], np.int32
            )
            for split, values in columns.items()
        }
    texts = {
        s: ["" if v is None else str(v) for v in values]
        for s, values in columns.items()
    }
    names = sorted({text for of in texts.values() for text in of} - {""})
    return names, {
        split: index_by_name(values, values, ["", *names]).labels - 1
        for split, values in texts.items()
    }


def _read_one(picture: Mapping[str, Any] | None) -> Picture:
    """Returns an image's bytes, or those of the file that it names."""
    encoded = picture["bytes"] if picture else None
    if encoded is not None:
        return Picture(encoded)
    path = picture["path"] if picture else None
    if not path:
        return Picture(b"", "it is missing")
    return read_picture(Path(path), Path(path).parent)
