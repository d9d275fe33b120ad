"""Keras's own format, images in [0, 1] to logits."""

from pathlib import Path

from head.exporting.formats.attachment import attach
from head.exporting.full_model import FullModel


def write_keras(full_model: FullModel, path: Path) -> None:
    """Writes a `.keras` file that loads in safe mode.

    On a `hub:`, `kaggle:` or `savedmodel:` backbone it is read after
    `import embed.backbones.hub`, which registers the layer that holds the
    module; on a `kerashub:` one where keras-hub is installed.

    Args:
        full_model: What to write.
        path: Of the file.
    """
    full_model.model.save(path)
    attach(path, full_model.documents)
