"""What TFDS has prepared, and what is left of preparations that were cut."""

import os
import shlex
from pathlib import Path
from typing import Any

from embed.disk import count_bytes
from embed.doctor.check import Finding
from embed.doctor.check import count
from embed.doctor.check import warn
from embed.memory import format_size

DATA_VARIABLE = "TFDS_DATA_DIR"
DEFAULT_FOLDER = "~/tensorflow_datasets"  # TFDS's own.
INFO = "dataset_info.json"
DOWNLOADS = "downloads"
# NAME/[CONFIG/]VERSION, which TFDS moves there when it is whole.
DEPTHS = ("*/*", "*/*/*")
INCOMPLETE = "incomplete."  # How the name of one that is not whole begins.
HALF = "*.tmp.*"  # Folders of downloads that are not whole.


def find_data_dir(data_dir: str | None) -> Path:
    """Returns where TFDS keeps its datasets."""
    folder = data_dir or os.environ.get(DATA_VARIABLE) or DEFAULT_FOLDER
    return Path(os.path.expanduser(folder)).absolute()


def look_at_datasets(data_dir: str | None) -> dict[str, Any]:
    """Returns the datasets that are prepared, and what is left over."""
    folder = find_data_dir(data_dir)
    prepared, leftovers = {}, []
    for depth in DEPTHS:
        for path in sorted(folder.glob(depth)):
            if path.name.startswith(INCOMPLETE):
                leftovers.append(path)
            elif (path / INFO).is_file():
                name = path.relative_to(folder).as_posix()
                prepared[name] = count_bytes(path)
    leftovers += sorted((folder / DOWNLOADS).glob(HALF))
    return {
        "folder": str(folder),
        "prepared": prepared,
        "leftovers": [str(path) for path in leftovers],
    }


def check_datasets(facts: dict[str, Any]) -> Finding:
    """Reports what is prepared; what is left over hinders nothing."""
    prepared = facts["prepared"]
    size = format_size(sum(prepared.values()))
    kept = f"{len(prepared)} prepared, {size}, in {facts['folder']}"
    leftovers = facts["leftovers"]
    if not leftovers:
        return Finding(kept)
    return warn(
        f"{count(len(leftovers), 'folder')} left of preparations that were cut "
        f"off, or go on ({kept})",
        f"If TFDS prepares nothing now: `rm -rf {shlex.join(leftovers)}`",
    )
