"""Lists of pictures with their labels: CSV or Parquet, `--labels FILE`.

    path,label,split
    photos/1.jpg,cat,train

The split may be left out; other columns are left alone.
"""

import csv
import dataclasses
import posixpath
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path

from embed.errors import SourceError
from embed.sources.files import path_order
from embed.sources.request import PARQUET

PATH, LABEL, SPLIT = "path", "label", "split"
NEEDED = (PATH, LABEL)
Entry = tuple[int, dict[str, str]]  # A line or row number, and its columns.


@dataclasses.dataclass(frozen=True)
class LabelList:
    """What a list says.

    Args:
        labels: Name of the class by path, relative and with `/`.
        ids_by_split: Paths of each split, sorted; empty where the list does
            not say.
    """

    labels: dict[str, str]
    ids_by_split: dict[str, list[str]]


def require_label_list(path: Path) -> None:
    """Refuses a list that is not there.

    Raises:
        SourceError: Says what is expected of it.
    """
    if not path.is_file():
        raise SourceError(
            f"There is no list of labels {path}. Expected: a CSV or Parquet "
            "file with the columns path and label, and perhaps split. Give "
            "one with `--labels FILE`."
        )


def read_label_list(path: Path, split_names: Mapping[str, str]) -> LabelList:
    """Reads a list of pictures.

    Args:
        path: A Parquet file by its ending, else CSV.
        split_names: What the list calls the splits.

    Raises:
        SourceError: If it cannot be read, lacks a column or a label, or
            names a picture twice.
    """
    require_label_list(path)
    is_parquet = path.suffix.lower() == PARQUET
    split_of_name = {name: split for split, name in split_names.items()}
    labels: dict[str, str] = {}
    ids_by_split: dict[str, list[str]] = {}
    unit = "row" if is_parquet else "line"
    for number, entry in _read_parquet(path) if is_parquet else _read_csv(path):
        place = f"{unit} {number:,}"
        for column in NEEDED:
            if not entry[column]:
                raise _refuse(
                    path, f"has no {column} in {place}", f"a {column}"
                )
        image_id = posixpath.normpath(entry[PATH])
        if image_id.startswith(("/", "../")) or image_id == "..":
            raise _refuse(
                path,
                f"names {entry[PATH]!r} in {place}",
                "a path below the folder, relative to it",
            )
        if image_id in labels:
            raise _refuse(
                path,
                f"names {image_id!r} twice, the second time in {place}",
                "each picture once",
            )
        labels[image_id] = entry[LABEL]
        if SPLIT in entry:
            split = split_of_name.get(entry[SPLIT])
            if split is None:
                raise _refuse(
                    path,
                    f"has the split {entry[SPLIT]!r} in {place}",
                    f"one of {sorted(split_of_name)}, out of which validation "
                    "is carved by itself, or others by `--train-split` and "
                    "`--test-split`",
                )
            ids_by_split.setdefault(split, []).append(image_id)
    for ids in ids_by_split.values():
        ids.sort(key=path_order)
    return LabelList(labels, ids_by_split)


def _refuse(path: Path, problem: str, expected: str) -> SourceError:
    return SourceError(
        f"The list {path} {problem}. Expected: {expected}. Mend the list and "
        "run the command again."
    )


def _read_csv(path: Path) -> Iterator[Entry]:
    """Yields the columns that count of each line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = _choose_columns(path, reader.fieldnames or ())
            for line in reader:
                # A short line has `None` in its last columns.
                texts = {name: (line[name] or "").strip() for name in columns}
                yield reader.line_num, texts
    except (UnicodeDecodeError, csv.Error) as error:
        raise _refuse(path, f"cannot be read: {error}", "CSV in UTF-8") from (
            error
        )


def _read_parquet(path: Path) -> Iterator[Entry]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise SourceError(
            f"The list {path} is a Parquet file, which pyarrow reads. "
            "Expected: it to be installed. Run `pip install 'headstart[hf]'`, "
            "or write the list as CSV."
        ) from error
    try:
        file = pyarrow.parquet.ParquetFile(path)
        columns = _choose_columns(path, file.schema_arrow.names)
        values = file.read(columns).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise _refuse(path, f"cannot be read: {reason}", "Parquet") from error
    rows = zip(*values.values(), strict=True)
    for number, row in enumerate(rows, start=1):
        texts = ["" if value is None else str(value) for value in row]
        yield number, dict(zip(columns, texts, strict=True))


def _choose_columns(path: Path, names: Iterable[str]) -> list[str]:
    there = list(names)
    missing = [name for name in NEEDED if name not in there]
    if missing:
        raise _refuse(
            path,
            f"has no column {missing[0]!r} but {there}",
            "path and label, and perhaps split",
        )
    return [name for name in (*NEEDED, SPLIT) if name in there]
