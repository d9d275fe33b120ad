"""Where images and labels come from: `tfds:`, `folder:`, `digits`."""

from pathlib import Path

from embed.errors import SourceError
from embed.sources.source import LimitedSource
from embed.sources.source import Source
from embed.sources.source import SourceRequest
from embed.sources.source import SplitIndex

__all__ = ["Source", "SourceRequest", "SplitIndex", "open_source"]


def open_source(request: SourceRequest) -> Source:
    """Opens the source that a user asked for.

    Raises:
        SourceError: If it is unknown, empty, or no classification problem.
    """
    source = _open_whole(request)
    if request.limit is None:
        return source
    return LimitedSource(source, request.limit)


def _open_whole(request: SourceRequest) -> Source:
    kind, _, name = request.dataset.partition(":")
    if kind == "tfds" and name:
        from embed.sources.tfds import TfdsSource

        return TfdsSource(name, request.data_dir)
    if kind == "folder" and name:
        from embed.sources.folder import FolderSource

        return FolderSource(Path(name).expanduser())
    if request.dataset == "digits":
        from embed.sources.digits import DigitsSource

        return DigitsSource()
    raise SourceError(
        "The dataset is of no known kind. Expected: `digits`, `folder:DIR` or "
        f"`tfds:NAME`. Received: {request.dataset!r}. Give one with "
        "`--dataset`."
    )
