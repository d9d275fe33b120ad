"""Where images and labels come from: `tfds:`, `folder:`, `digits`."""

from pathlib import Path

from embed.errors import SourceError
from embed.sources.source import LimitedSource
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import SourceRequest
from embed.sources.source import SplitIndex

__all__ = [
    "Picture",
    "Source",
    "SourceRequest",
    "SplitIndex",
    "check_source",
    "open_source",
]


def check_source(request: SourceRequest) -> None:
    """Refuses a source that does not exist, without reading or fetching it.

    Raises:
        SourceError: If the kind, the name or the folder is unknown.
    """
    kind, _, name = request.dataset.partition(":")
    if kind == "tfds" and name:
        from embed.sources.tfds import find_builder

        find_builder(name, request.data_dir)
    elif kind == "folder" and name:
        from embed.sources.folder import require_folder

        require_folder(Path(name))
    elif request.dataset != "digits":
        raise SourceError(
            "The dataset is of no known kind. Expected: `digits`, "
            f"`folder:DIR` or `tfds:NAME`. Received: {request.dataset!r}. "
            "Give one with `--dataset`."
        )


def open_source(request: SourceRequest) -> Source:
    """Opens the source that a user asked for.

    Raises:
        SourceError: If it is unknown, empty, or no classification problem.
    """
    check_source(request)
    source = _open_whole(request)
    if request.limit is None:
        return source
    return LimitedSource(source, request.limit)


def _open_whole(request: SourceRequest) -> Source:
    kind, _, name = request.dataset.partition(":")
    if kind == "tfds":
        from embed.sources.tfds import TfdsSource

        return TfdsSource(name, request.data_dir)
    if kind == "folder":
        from embed.sources.folder import FolderSource

        return FolderSource(Path(name))
    from embed.sources.digits import DigitsSource

    return DigitsSource()
