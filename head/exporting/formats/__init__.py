"""The formats of an export: where each lies, what it needs, how it is written.

Each is one file, or folder, that holds the whole model with its documents:
labels, preprocessing and model card.
"""

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embed.errors import PipelineError

if TYPE_CHECKING:
    from head.exporting.full_model import FullModel

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "Format",
    "FormatError",
    "MissingPackageError",
    "require_packages",
]


class FormatError(PipelineError, RuntimeError):
    """A model cannot be written in a format, or not be run from it."""


class MissingPackageError(PipelineError, ModuleNotFoundError):
    """A package that a format is written with or answers by is not there."""


@dataclasses.dataclass(frozen=True)
class Format:
    """One format of an export.

    Args:
        name: As in `--format`.
        files: Names in the folder of the export; a runtime is given the first.
        packages: What it needs beside Headstart's own requirements.
        extra: Of Headstart, which installs those.
        is_quantized: Whether it computes in 8 bits, and so only about what
            the head computes.
        takes_encoded: Whether it decodes pictures itself.
    """

    name: str
    files: tuple[str, ...]
    packages: tuple[str, ...] = ()
    extra: str = ""
    is_quantized: bool = False
    takes_encoded: bool = False

    def write(self, full_model: "FullModel", path: Path) -> None:
        """Writes a model.

        Args:
            full_model: With its documents.
            path: Of the first of its files.
        """
        if self.name == "savedmodel":
            from head.exporting.formats.savedmodel import write_saved_model

            write_saved_model(full_model, path)
        elif self.name == "keras":
            from head.exporting.formats.keras import write_keras

            write_keras(full_model, path)
        elif self.name == "onnx":
            from head.exporting.formats.onnx import write_onnx

            write_onnx(full_model, path)
        elif self.name == "openvino":
            from head.exporting.formats.openvino import write_openvino

            write_openvino(full_model, path)
        else:
            from head.exporting.formats.tflite import write_tflite

            write_tflite(full_model, path, is_quantized=self.is_quantized)


SAVED_MODEL, KERAS_MODEL = "saved_model", "model.keras"
FORMATS = {
    of.name: of
    for of in (
        Format("savedmodel", (SAVED_MODEL,), takes_encoded=True),
        Format("keras", (KERAS_MODEL,)),
        Format("tflite", ("model.tflite",), ("ai_edge_litert",), "cpu"),
        Format(
            "tflite-int8",
            ("model-int8.tflite",),
            ("ai_edge_litert",),
            "cpu",
            is_quantized=True,
        ),
        Format(
            "onnx",
            ("model.onnx",),
            ("onnx", "onnxruntime", "tf2onnx"),
            "export",
        ),
        Format("openvino", ("model.xml", "model.bin"), ("openvino",), "cpu"),
    )
}
DEFAULT_FORMATS = ("savedmodel", "keras")  # Which need no extra.


def require_packages(names: Sequence[str]) -> None:
    """Refuses formats whose packages are not installed.

    Args:
        names: Of formats.

    Raises:
        MissingPackageError: Says what to install.
    """
    missing = {
        name: absent
        for name in names
        if (absent := list(filter(_is_missing, FORMATS[name].packages)))
    }
    if not missing:
        return
    lacking = ", ".join(
        f"{name} needs {' and '.join(absent)}"
        for name, absent in missing.items()
    )
    extras = ",".join(sorted({FORMATS[name].extra for name in missing}))
    others = [name for name in names if name not in missing]
    raise MissingPackageError(
        f"Packages that formats need are not installed: {lacking}. Install "
        f"them with `python -m pip install 'headstart[{extras}]'`, or run "
        f"again with `--format {','.join(others or DEFAULT_FORMATS)}`."
    )


def _is_missing(package: str) -> bool:
    return importlib.util.find_spec(package) is None
