"""Hugging Face datasets, `hf:NAME`, and those that lie here, `hf:DIR`.

A name may be followed by a configuration, `hf:NAME:CONFIG`. Images are taken
undecoded (`Image(decode=False)`), so that TensorFlow decodes them as all
others. Ids are file names where the dataset has them, else example numbers.
"""

import os
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embed.errors import SourceError
from embed.network import probe
from embed.sources.features import ID_FEATURES
from embed.sources.features import choose_feature
from embed.sources.features import choose_ids
from embed.sources.files import read_file
from embed.sources.request import PARQUET
from embed.sources.request import SourceRequest
from embed.sources.slices import Piece
from embed.sources.slices import resolve_splits
from embed.sources.source import NO_LABEL
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import SplitIndex
from embed.sources.source import index_by_name
from embed.sources.source import require_known_classes

# What `save_to_disk` leaves in a folder.
SAVED_FILES = ("dataset_dict.json", "state.json")
BATCH_SIZE = 64  # Examples handed over at once: some MB.


class HfSource(Source):
    """A dataset of the Hugging Face Hub, or one that lies here.

    Args:
        request: What was asked for.
    """

    def __init__(self, request: SourceRequest) -> None:
        import datasets

        whole, name = _load(request), request.dataset
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
        """Returns the same of every row: those of all its files together."""
        paths = {file["filename"] for file in self._parts[split].cache_files}
        try:
            found = [os.stat(path) for path in paths]
            stamps = (
                sum(file.st_size for file in found),
                max(file.st_mtime_ns for file in found),
                max(file.st_ctime_ns for file in found),
            )
        except (OSError, ValueError):  # Gone, or in memory.
            return None
        return np.tile(np.array(stamps, np.int64), (len(self._parts[split]), 1))

    def _choose_ids(
        self, data: Any, split: str, pieces: Sequence[Piece]
    ) -> tuple[str, ...]:
        named = [name for name in ID_FEATURES if name in data.features]
        columns = [[str(v) for v in data[name][:]] for name in named]
        table = self._parts[split].with_format("arrow")[:]
        paths = [
            os.path.basename(path or "")
            for chunk in table.column(self._image).chunks
            for path in chunk.field("path").to_pylist()
        ]
        numbers = [
            f"{piece.split}-{number}"
            for piece in pieces
            for number in range(piece.start, piece.stop)
        ]
        return choose_ids([*columns, paths, numbers])


def check_request(request: SourceRequest) -> None:
    """Refuses a dataset that nobody knows, without fetching it.

    Raises:
        SourceError: If it is not there, or the extra is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise SourceError(
            f"The dataset {request.dataset} needs the package datasets. "
            "Expected: it to be installed. Run `pip install 'headstart[hf]'`."
        ) from error
    if request.is_local:
        path = Path(request.name)
        if not path.exists():
            raise SourceError(
                f"There is no Hugging Face dataset at {path}. Expected: a "
                f"folder of {PARQUET} files, one of them, or a folder of "
                "`save_to_disk`. Give one with `--dataset hf:DIR`."
            )
        return
    _prefer_local_copies()
    try:
        name, config = _divide_name(request.name)
        datasets.load_dataset_builder(name, config, cache_dir=request.data_dir)
    except Exception as error:  # Anything, from a missing name to a bad script.
        raise _refuse(request, error) from error


def open_request(request: SourceRequest) -> HfSource:
    """Opens the dataset that was asked for; fetches it where needed."""
    return HfSource(request)


def _load(request: SourceRequest) -> Mapping[str, Any]:
    """Returns the dataset by split, fetched and prepared where needed."""
    import datasets

    name, config = request.name, None
    try:
        if any((Path(name) / file).is_file() for file in SAVED_FILES):
            loaded = datasets.load_from_disk(name)
        elif name.endswith(PARQUET):
            loaded = datasets.load_dataset(
                "parquet", data_files=name, cache_dir=request.data_dir
            )
        else:
            if not request.is_local:
                name, config = _divide_name(name)
            loaded = datasets.load_dataset(
                name, config, cache_dir=request.data_dir
            )
    except Exception as error:  # Anything, on a bad download or file.
        raise _refuse(request, error) from error
    if isinstance(loaded, datasets.Dataset):
        return {"train": loaded}
    return dict(loaded)


def _divide_name(name: str) -> tuple[str, str | None]:
    name, _, config = name.partition(":")
    return name, config or None


def _prefer_local_copies() -> None:
    """Without a network `datasets` would retry for half a minute."""
    import datasets

    try:
        probe(datasets.config.HF_ENDPOINT)
    except OSError:
        datasets.config.HF_HUB_OFFLINE = True


def _refuse(request: SourceRequest, error: Exception) -> SourceError:
    reason = " ".join(str(error).split()).rstrip(".")
    return SourceError(
        f"The Hugging Face dataset {request.name!r} cannot be had: {reason}. "
        "Expected: a name of the Hub, perhaps with a configuration "
        "(`hf:NAME:CONFIG`), or a folder or file that is here. Check the "
        "spelling and the network, or give one with `--dataset hf:DIR`."
    )


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
            and getattr(feature, "dtype", "") in {"string", "int32", "int64"}
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
    try:
        return Picture(read_file(Path(path)))
    except OSError as error:
        return Picture(b"", f"it cannot be read: {error.strerror or error}")
