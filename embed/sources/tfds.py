"""Any TensorFlow Datasets image-classification set, `tfds:NAME`.

Only the encoded image, the label and the file name are read: `SkipDecoding`
hands over the JPEG bytes as they lie on disk, and `PartialDecoding` leaves
masks alone. TFDS re-encodes images between versions, so that the version is
part of the fingerprint.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embed.errors import SourceError
from embed.network import WAYS_OUT
from embed.network import probe
from embed.sources.source import SPLITS
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import SplitIndex

PREFIX = "tfds:"
ID_FEATURES = ("file_name", "filename", "image_id", "id")  # The first unique.
TFDS_ID = "tfds_id"  # File and place: what TFDS itself knows an example by.
PROBE_URL = "https://storage.googleapis.com/tfds-data"  # Serves TFDS metadata.
BATCH_SIZE = 8  # Examples handed over at once: a third of the work of one.


class TfdsSource(Source):
    """A prepared TFDS dataset; prepared first, where there is a network.

    Args:
        name: Name as TFDS knows it, e.g. `"oxford_iiit_pet"` or
            `"oxford_iiit_pet:4.0.0"`.
        data_dir: Where TFDS keeps its datasets; `None` for `TFDS_DATA_DIR`
            or TFDS's own default.
    """

    def __init__(self, name: str, data_dir: str | None = None) -> None:
        self._builder = _prepared_builder(name, data_dir)
        info = self._builder.info
        self._image_key, self._label_key = _supervised_keys(name, info)
        label = info.features[self._label_key]
        super().__init__(
            name=f"{PREFIX}{info.full_name.rpartition('/')[0]}",
            version=str(info.version),
            class_names=label.names,
            splits={
                split: self._index(split)
                for split in SPLITS
                if split in info.splits
            },
        )

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row.

        Raises:
            SourceError: If a file of the dataset is damaged, cut or gone.
        """
        import tensorflow_datasets as tfds

        if not rows:
            return
        wanted = set(rows)
        first, last = rows[0], rows[-1]
        instruction = tfds.core.ReadInstruction(
            split, from_=first, to=last + 1, unit="abs"
        )
        examples = self._examples(instruction, (self._image_key,))
        row = first - 1
        for row, example in enumerate(examples, start=first):
            if row in wanted:
                yield Picture(example[self._image_key])
        if row != last:
            raise self._failure(f"{split} has only {row + 1} examples by now")

    def stamps(self, split: str) -> np.ndarray | None:
        """Returns the same of every row: those of all its files together."""
        try:
            paths = self._builder.info.splits[split].filepaths
            found = [path.stat() for path in map(Path, paths)]
            stamps = (
                sum(file.st_size for file in found),
                max(file.st_mtime_ns for file in found),
                max(file.st_ctime_ns for file in found),
            )
        except (OSError, ValueError):  # In a cloud, of no files, or gone.
            return None
        num_images = len(self.splits[split].image_ids)
        return np.tile(np.array(stamps, np.int64), (num_images, 1))

    def _index(self, split: str) -> SplitIndex:
        """Reads ids and labels of a split, without its images."""
        features = self._builder.info.features
        names = [n for n in ID_FEATURES if _is_scalar_id(features, n)]
        columns: dict[str, list[Any]] = {
            key: [] for key in (self._label_key, TFDS_ID, *names)
        }
        for example in self._examples(split, tuple(columns)):
            for key, values in columns.items():
                values.append(example[key])
        labels = np.array(columns.pop(self._label_key), np.int32)
        for key in (*names, TFDS_ID):
            ids = tuple(_as_text(value) for value in columns[key])
            if len(set(ids)) == len(ids):
                break
        return SplitIndex(ids, labels)

    def _examples(self, split: Any, keys: Sequence[str]) -> Iterator[Any]:
        """Yields some features of each example, in the order on disk."""
        import tensorflow as tf
        import tensorflow_datasets as tfds

        decoders = {}
        if self._image_key in keys:
            decoders[self._image_key] = tfds.decode.SkipDecoding()
        try:
            batches = self._builder.as_dataset(
                split=split,
                shuffle_files=False,
                decoders=tfds.decode.PartialDecoding(
                    {key: True for key in keys if key != TFDS_ID},
                    decoders=decoders,
                ),
                read_config=tfds.ReadConfig(
                    add_tfds_id=TFDS_ID in keys,
                    try_autocache=False,
                    interleave_cycle_length=1,
                ),
            ).batch(BATCH_SIZE)
            for batch in batches.as_numpy_iterator():
                for values in zip(*(batch[key] for key in keys), strict=True):
                    yield dict(zip(keys, values, strict=True))
        except tf.errors.OpError as error:
            reason = error.message.partition("\n")[0].partition(" [[")[0]
            raise self._failure(reason) from error

    def _failure(self, reason: str) -> SourceError:
        return SourceError(
            f"The dataset {self._builder.info.full_name} cannot be read: "
            f"{reason}. What is finished is kept: mend or fetch again what "
            f"lies in {self._builder.data_dir}, and run the command again."
        )


def find_builder(name: str, data_dir: str | None) -> Any:
    """Returns the TFDS builder of a name, without preparing anything.

    Raises:
        SourceError: If TFDS knows no such dataset.
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, ImportError) as error:
        raise SourceError(
            f"TensorFlow Datasets knows no dataset {name!r}"
            f"{f', and {data_dir} holds none' if data_dir else ''}. Expected: "
            "a name of its catalogue, or of a prepared dataset below "
            "`--data-dir`. Check the spelling, give `--data-dir DIR`, or use "
            "`--dataset folder:DIR` or `--preset digits`."
        ) from error


def _prepared_builder(name: str, data_dir: str | None) -> Any:
    """Returns the builder, its data fetched and prepared where needed."""
    builder = find_builder(name, data_dir)
    if not builder.is_prepared():
        _require_network(name, str(builder.data_dir))
        try:
            builder.download_and_prepare()
        except Exception as error:  # TFDS raises anything on a bad download.
            raise SourceError(
                f"TensorFlow Datasets could not prepare {name!r}: "
                f"{type(error).__name__}: {error}. {WAYS_OUT}"
            ) from error
    return builder


def _require_network(name: str, data_dir: str) -> None:
    """Ends in seconds, where TFDS itself would retry for 150 s."""
    try:
        probe(PROBE_URL)
    except OSError as error:
        raise SourceError(
            f"The dataset {name!r} is not prepared at {data_dir}, and there "
            f"is no network to fetch it: {error}. {WAYS_OUT}"
        ) from error


def _supervised_keys(name: str, info: Any) -> tuple[str, str]:
    """Returns the names of the image and of the label feature."""
    import tensorflow_datasets as tfds

    features = info.features
    keys = info.supervised_keys or ("image", "label")
    if (
        len(keys) == 2  # An image and a label, as opposed to tuples of them.
        and all(isinstance(key, str) and key in features for key in keys)
        and isinstance(features[keys[0]], tfds.features.Image)
        and isinstance(features[keys[1]], tfds.features.ClassLabel)
    ):
        return keys[0], keys[1]
    raise SourceError(
        f"The dataset {name!r} is no image-classification set. Expected: an "
        f"Image and a ClassLabel feature. Received: {sorted(features)}. "
        "Choose another with `--dataset tfds:NAME`."
    )


def _is_scalar_id(features: Any, name: str) -> bool:
    return name in features and features[name].shape == ()


def _as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
