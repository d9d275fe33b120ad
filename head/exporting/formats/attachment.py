"""Documents at the end of a file: those of a zip archive, readable by any.

A `.keras` file is an archive already. A `.tflite` file becomes one, as those
with TFLite metadata are: archives are read from their end, models from their
beginning.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path


def attach(path: Path, documents: Mapping[str, str]) -> None:
    """Appends documents to a file.

    Args:
        path: Of the file.
        documents: Text by file name.
    """
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in documents.items():
            # Of no date: the same model is the same file.
            archive.writestr(zipfile.ZipInfo(name), text)
