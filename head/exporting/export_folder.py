"""The folder of an export, and what is in it.

saved_model/         TensorFlow: pixels or encoded pictures
model.keras          Keras
model.tflite         LiteRT
model-int8.tflite    LiteRT, in 8 bits
model.onnx           ONNX
model.xml, .bin      OpenVINO
labels.txt           one class name a line, by class index
preprocessing.json   what becomes of a picture before it is an input
README.md            the model card
parity.json          how far each format is from the cached head; written last

Labels, preprocessing and card are inside of each format too.
"""

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from embed.errors import StorageError
from head.exporting.formats import FORMATS
from head.exporting.formats import Format

PARITY = "parity.json"


def remove_format(of: Format, folder: Path) -> None:
    """Removes what there is of a format."""
    for name in of.files:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def count_bytes(of: Format, folder: Path) -> int:
    """Returns the size of a format."""
    paths = [folder / name for name in of.files]
    paths += [inner for path in paths for inner in path.rglob("*")]
    return sum(path.stat().st_size for path in paths if path.is_file())


def keep_others(
    directory: Path, part: Path, written: Collection[str], head_digest: str
) -> dict[str, Any]:
    """Takes over the formats of an earlier export that were not written.

    Only those of the same head: a run may have been trained again.

    Returns:
        By format what the old `parity.json` says of it.

    Raises:
        StorageError: If one cannot be copied.
    """
    try:
        record = json.loads((directory / PARITY).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    kept = {}
    for name in FORMATS.keys() - set(written):
        old = [directory / file for file in FORMATS[name].files]
        if (
            name in record
            and all(path.exists() for path in old)
            and record[name].get("head_digest", head_digest) == head_digest
        ):
            try:
                for path in old:
                    copy = shutil.copytree if path.is_dir() else shutil.copy2
                    copy(path, part / path.name)
            except shutil.Error as error:
                (_, _, reason), *_ = error.args[0]
                raise StorageError(
                    f"The earlier {name} export in {directory} cannot be kept: "
                    f"{reason}. Make room on the disk, and run the command "
                    "again."
                ) from error
            kept[name] = record[name]
    return kept
