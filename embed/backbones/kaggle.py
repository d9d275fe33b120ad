"""Modules of Kaggle, by `kagglehub`, which keeps them and knows the newest.

    $KAGGLEHUB_CACHE/models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION/

is where it puts what it has fetched, by default in `~/.cache/kagglehub`.
"""

import contextlib
import os
from pathlib import Path

from embed.backbones.handle import expand
from embed.errors import BackboneError
from embed.network import WAYS_OUT
from embed.network import limit_silence

CACHE_VARIABLE = "KAGGLEHUB_CACHE"
DEFAULT_CACHE = "~/.cache/kagglehub"
PATTERN = "OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION]"
EXAMPLE = "google/mobilenet-v2/tensorFlow2/140-224-feature-vector"
NUM_PARTS = 4  # Without the version.


def fetch_from_kaggle(name: str) -> Path:
    """Returns the directory of a module, fetched where it is not there.

    Without a network the newest version that was fetched before serves for a
    name without version.

    Args:
        name: `OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION]`.

    Raises:
        BackboneError: If it cannot be had; says the ways out.
    """
    parts = name.split("/")
    version = parts[NUM_PARTS:]
    if (
        not all(parts)
        or len(parts) not in (NUM_PARTS, NUM_PARTS + 1)
        or not all(map(str.isdecimal, version))
    ):
        raise BackboneError(
            f"The module kaggle:{name} is not named as Kaggle names models. "
            f"Expected: {PATTERN}. Received: {name}. Write `--backbone "
            f"kaggle:{EXAMPLE}`."
        )
    kept = _find_kept(name)
    if version and kept:
        return kept
    try:
        import kagglehub
    except ImportError as error:
        if kept:
            return kept
        raise BackboneError(
            f"The module kaggle:{name} is fetched by the package kagglehub, "
            "which is not installed. Install it with `python -m pip install "
            f"'headstart[kaggle]'`. {_ways_out()}"
        ) from error
    try:
        with limit_silence():
            return Path(kagglehub.model_download(name))
    except Exception as error:  # requests and kagglehub raise anything.
        if kept:
            return kept
        detail = str(error).strip().split("\n")[0].rstrip(".")
        raise BackboneError(
            f"The module kaggle:{name} could not be fetched: "
            f"{type(error).__name__}: {detail}. {_ways_out()}"
        ) from error


def name_version(name: str, directory: Path) -> str:
    """Returns the name with the version of what was fetched."""
    is_named = name.count("/") == NUM_PARTS
    return name if is_named else f"{name}/{directory.name}"


def find_folder() -> Path:
    """Returns where kagglehub keeps what it fetches."""
    folder = os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE
    return expand(folder).absolute()


def _find_kept(name: str) -> Path | None:
    """Returns what was fetched before, of several versions the newest."""
    directory = find_folder() / "models" / name
    if name.count("/") == NUM_PARTS:
        versions = [directory]
    else:
        versions = []
        with contextlib.suppress(OSError):
            versions = [p for p in directory.iterdir() if p.name.isdecimal()]
        versions.sort(key=lambda path: int(path.name), reverse=True)
    for version in versions:
        marker = version.with_name(f"{version.name}.complete")
        if version.is_dir() and marker.exists():
            return version
    return None


def _ways_out() -> str:
    return (
        f"A model that asks for an account needs your key in ~/.kaggle; "
        f"{CACHE_VARIABLE}=DIR takes what kagglehub fetched elsewhere. "
        f"{WAYS_OUT}"
    )
