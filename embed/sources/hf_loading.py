"""How a Hugging Face dataset is had: from the Hub, or from where it lies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embed.errors import SourceError
from embed.network import probe
from embed.sources.request import PARQUET
from embed.sources.request import SourceRequest

# What `save_to_disk` leaves in a folder.
SAVED_FILES = ("dataset_dict.json", "state.json")


def prepare(request: SourceRequest) -> None:
    """Refuses what can be refused without asking the Hub.

    Raises:
        SourceError: If there is no such path, or the extra is not installed.
    """
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        raise SourceError(
            f"The dataset {request.dataset} needs the package datasets. "
            "Expected: it to be installed. Run `pip install 'headstart[hf]'`."
        ) from error
    if request.is_local:
        path = Path(request.name)
        if not path.exists():
            raise SourceError(
                f"There is no Hugging Face dataset at {path}. Expected: a "
                f"folder of {PARQUET} files, one of them, or a folder of "
                "`save_to_disk`. Give one with `--dataset hf:DIR`."
            )
    else:
        _prefer_local_copies()


def ask_hub(request: SourceRequest) -> None:
    """Refuses a dataset that the Hub does not know.

    Raises:
        SourceError: If it is not known, or cannot be asked for.
    """
    import datasets

    try:
        name, config = _divide_name(request.name)
        datasets.load_dataset_builder(name, config, cache_dir=request.data_dir)
    except Exception as error:  # Anything, from a missing name to a bad script.
        raise _refuse(request, error) from error


def load(request: SourceRequest) -> Mapping[str, Any]:
    """Returns the dataset by split, fetched and prepared where needed.

    Raises:
        SourceError: If it cannot be had.
    """
    import datasets

    name, config = request.name, None
    try:
        if any((Path(name) / file).is_file() for file in SAVED_FILES):
            loaded = datasets.load_from_disk(name)
        elif name.endswith(PARQUET):
            loaded = datasets.load_dataset(
                "parquet", data_files=name, cache_dir=request.data_dir
            )
        else:
            if not request.is_local:
                name, config = _divide_name(name)
            loaded = datasets.load_dataset(
                name, config, cache_dir=request.data_dir
            )
    except Exception as error:  # Anything, on a bad download or file.
        raise _refuse(request, error) from error
    if isinstance(loaded, datasets.Dataset):
        return {"train": loaded}
    return dict(loaded)


def _divide_name(name: str) -> tuple[str, str | None]:
    name, _, config = name.partition(":")
    return name, config or None


def _prefer_local_copies() -> None:
    """Without a network `datasets` would retry for half a minute."""
    import datasets

    try:
        probe(datasets.config.HF_ENDPOINT)
    except OSError:
        datasets.config.HF_HUB_OFFLINE = True


def _refuse(request: SourceRequest, error: Exception) -> SourceError:
    reason = " ".join(str(error).split()).rstrip(".")
    return SourceError(
        f"The Hugging Face dataset {request.name!r} cannot be had: {reason}. "
        "Expected: a name of the Hub, perhaps with a configuration "
        "(`hf:NAME:CONFIG`), or a folder or file that is here. Check the "
        "spelling and the network, or give one with `--dataset hf:DIR`."
    )
