"""Any TensorFlow Datasets image-classification set, `tfds:NAME`.

Its splits are `train` and `test`, or what `tfds.load` would take as `split`.
Only the encoded image, the label and the file name are read: `SkipDecoding`
hands over the JPEG bytes as they lie on disk, and `PartialDecoding` leaves
masks alone. TFDS re-encodes images between versions, so that the version is
part of the fingerprint.
"""

import functools
import operator
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from embed.errors import SourceError
from embed.network import WAYS_OUT
from embed.network import probe
from embed.sources.features import ID_FEATURES
from embed.sources.features import choose_feature
from embed.sources.features import choose_ids
from embed.sources.files import stamp_together
from embed.sources.layout import USUAL_NAMES
from embed.sources.request import SourceRequest
from embed.sources.slices import Piece
from embed.sources.slices import divide_rows
from embed.sources.slices import resolve_splits
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import SplitIndex
from embed.sources.source import require_known_classes

PREFIX = "tfds:"
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
        label_key: Name of the feature that is the label; `None` for the one
            that TFDS supervises by, or the only one.
        split_names: What to take as train and as test, e.g. `train[:80%]`.
    """

    def __init__(
        self,
        name: str,
        data_dir: str | None = None,
        *,
        label_key: str | None = None,
        split_names: Mapping[str, str] = USUAL_NAMES,
    ) -> None:
        self._builder = find_builder(name, data_dir)
        info = self._builder.info
        # What is misspelt is found before anything is fetched.
        self._image_key, self._label_key = _choose_keys(name, info, label_key)
        _require_splits(name, info, split_names)
        _prepare(name, self._builder)
        info = self._builder.info
        label = info.features[self._label_key]
        self._pieces = _resolve(name, info, split_names)
        super().__init__(
            name=f"{PREFIX}{info.full_name.rpartition('/')[0]}",
            version=str(info.version),
            class_names=label.names,
            splits={split: self._index(split) for split in self._pieces},
        )
        require_known_classes(self)

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Yields one picture a row.

        Raises:
            SourceError: If a file of the dataset is damaged, cut or gone.
        """
        for piece, examples in divide_rows(self._pieces[split], rows):
            wanted = set(examples)
            first, last = examples[0], examples[-1]
            part = Piece(piece.split, first, last + 1)
            found = self._examples([part], (self._image_key,))
            number = first - 1
            for number, example in enumerate(found, start=first):
                if number in wanted:
                    yield Picture(example[self._image_key])
            if number != last:
                raise self._failure(
                    f"{piece.split} has only {number + 1} examples by now"
                )

    def stamps(self, split: str) -> np.ndarray | None:
        """Returns the same of every row: those of all its files together."""
        splits = self._builder.info.splits
        names = {piece.split for piece in self._pieces[split]}
        try:
            paths = [str(p) for name in names for p in splits[name].filepaths]
        except (OSError, ValueError):  # In a cloud, or gone.
            return None
        return stamp_together(paths, len(self.splits[split].image_ids))

    def _index(self, split: str) -> SplitIndex:
        """Reads ids and labels of a split, without its images."""
        features = self._builder.info.features
        names = [n for n in ID_FEATURES if _is_scalar_id(features, n)]
        columns: dict[str, list[Any]] = {
            key: [] for key in (self._label_key, TFDS_ID, *names)
        }
        for example in self._examples(self._pieces[split], tuple(columns)):
            for key, values in columns.items():
                values.append(example[key])
        ids = choose_ids(map(_as_text, columns[k]) for k in (*names, TFDS_ID))
        return SplitIndex(ids, np.array(columns[self._label_key], np.int32))

    def _examples(
        self, pieces: Sequence[Piece], keys: Sequence[str]
    ) -> Iterator[Any]:
        """Yields some features of each example, in the order on disk."""
        import tensorflow as tf
        import tensorflow_datasets as tfds

        decoders = {}
        if self._image_key in keys:
            decoders[self._image_key] = tfds.decode.SkipDecoding()
        instructions = [
            tfds.core.ReadInstruction(
                piece.split, from_=piece.start, to=piece.stop, unit="abs"
            )
            for piece in pieces
        ]
        try:
            batches = self._builder.as_dataset(
                split=functools.reduce(operator.add, instructions),
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


def check_request(request: SourceRequest) -> None:
    """Refuses a dataset that TFDS does not know, without preparing it.

    Raises:
        SourceError: If there is none, or it has no such feature or split.
    """
    builder = find_builder(request.name, request.data_dir)
    _choose_keys(request.name, builder.info, request.label_from)
    _require_splits(request.name, builder.info, request.split_names)


def open_request(request: SourceRequest) -> TfdsSource:
    """Opens the dataset that was asked for; prepares it where needed."""
    return TfdsSource(
        request.name,
        request.data_dir,
        label_key=request.label_from,
        split_names=request.split_names,
    )


def find_builder(name: str, data_dir: str | None) -> Any:
    """Returns the TFDS builder of a name, without preparing anything.

    Raises:
        SourceError: If TFDS knows no such dataset.
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except (
        tfds.core.DatasetNotFoundError,
        ValueError,
        ImportError,
        AssertionError,  # Of a version that there is not.
    ) as error:
        reason, *_ = str(error).strip().splitlines() or [repr(error)]
        raise SourceError(
            f"TensorFlow Datasets knows no dataset {name!r}"
            f"{f', and {data_dir} holds none' if data_dir else ''}. Expected: "
            "a name of its catalogue, or of a prepared dataset below "
            f"`--data-dir`. Received: {reason.rstrip('.')}. Check the "
            "spelling, give `--data-dir DIR`, or use `--dataset folder:DIR` "
            "or `--preset digits`."
        ) from error


def _prepare(name: str, builder: Any) -> None:
    """Fetches and prepares the data, where that is needed."""
    if not builder.is_prepared():
        _require_network(name, str(builder.data_dir))
        try:
            builder.download_and_prepare()
        except Exception as error:  # TFDS raises anything on a bad download.
            raise SourceError(
                f"TensorFlow Datasets could not prepare {name!r}: "
                f"{type(error).__name__}: {error}. {WAYS_OUT}"
            ) from error


def _require_network(name: str, data_dir: str) -> None:
    """Ends in seconds, where TFDS itself would retry for 150 s."""
    try:
        probe(PROBE_URL)
    except OSError as error:
        raise SourceError(
            f"The dataset {name!r} is not prepared at {data_dir}, and there "
            f"is no network to fetch it: {error}. {WAYS_OUT}"
        ) from error


def _require_splits(
    name: str, info: Any, split_names: Mapping[str, str]
) -> None:
    """Refuses splits that there are not, as far as that is known by now."""
    if info.splits:  # Known before it is prepared, or not.
        _resolve(name, info, split_names)


def _resolve(
    name: str, info: Any, split_names: Mapping[str, str]
) -> dict[str, list[Piece]]:
    """Returns the examples that make up train and test."""
    import tensorflow_datasets as tfds

    return resolve_splits(
        f"{PREFIX}{name}",
        split_names,
        {split: info.splits[split].num_examples for split in info.splits},
        lambda text: tfds.core.ReadInstruction.from_spec(text).to_absolute(
            info.splits
        ),
    )


def _choose_keys(
    name: str, info: Any, label_key: str | None
) -> tuple[str, str]:
    """Returns the names of the image and of the label feature."""
    import tensorflow_datasets as tfds

    def find(kind: type) -> set[str]:
        return {n for n, f in info.features.items() if isinstance(f, kind)}

    images = find(tfds.features.Image)
    labels = find(tfds.features.ClassLabel)
    supervised = tuple(info.supervised_keys or ())
    if len(supervised) == 2:  # As opposed to tuples of them.
        image, label = supervised
        if image in images:
            images = {image}
        if label in labels and label_key is None:
            labels = {label}
    return (
        choose_feature(f"{PREFIX}{name}", "Image", images),
        choose_feature(
            f"{PREFIX}{name}", "ClassLabel", labels, named=label_key
        ),
    )


def _is_scalar_id(features: Any, name: str) -> bool:
    return name in features and features[name].shape == ()


def _as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
