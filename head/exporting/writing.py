"""The writing of one format of an export, whatever its converter raises."""

import logging
from pathlib import Path

from embed.errors import PipelineError
from head.exporting.formats import Format
from head.exporting.formats import FormatError
from head.exporting.full_model import FullModel
from head.exporting.pixels import refuse_pixels

MAX_SHOWN = 300  # Characters of what a converter says.

logger = logging.getLogger(__name__)


def write_format(of: Format, full_model: FullModel, folder: Path) -> None:
    """Writes a format into a folder.

    Raises:
        FormatError: If the model has something that the format has not.
    """
    if full_model.of_views and not of.takes_encoded:
        raise refuse_pixels(of.name, full_model.of_views.names)
    absl = logging.getLogger("absl")
    level = absl.level
    try:
        of.write(full_model, folder / of.files[0])
    except (OSError, PipelineError):  # A full disk, a picture that is gone.
        raise
    except Exception as error:  # Converters raise anything.
        logger.info("The %s model.", of.name, exc_info=True)
        detail = str(error).strip().split("\n")[0][:MAX_SHOWN]
        raise FormatError(
            f"The {of.name} model cannot be written: {type(error).__name__}: "
            f"{detail}. `-v` shows where."
        ) from error
    finally:
        absl.setLevel(level)  # TensorFlow raises it when it saves a model.
