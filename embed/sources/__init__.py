"""Where images and labels come from: folders, shards and dataset libraries.

Each kind is a module with `check_request` and `open_request`; the second one
refuses by itself what the first one does.
"""

from typing import Protocol

from embed.errors import SourceError
from embed.sources.limited import LimitedSource
from embed.sources.request import SourceRequest
from embed.sources.source import Picture
from embed.sources.source import Source
from embed.sources.source import SplitIndex

__all__ = [
    "Picture",
    "Source",
    "SourceRequest",
    "SplitIndex",
    "check_source",
    "open_source",
]
# The options that a kind of source takes, besides `--data-dir`.
_LABELS = {"label_from": "--label-from"}
_SPLITS = {"train_split": "--train-split", "test_split": "--test-split"}
OPTIONS: dict[str, dict[str, str]] = {
    "digits": {},
    "folder": {"labels": "--labels", **_LABELS, **_SPLITS},
    "hf": {**_LABELS, **_SPLITS},
    "tfds": {**_LABELS, **_SPLITS},
    "wds": {**_LABELS, **_SPLITS},
}


class Kind(Protocol):
    """A module of a kind of source."""

    def check_request(self, request: SourceRequest) -> None:
        """Refuses what does not exist, without reading or fetching it."""

    def open_request(self, request: SourceRequest) -> Source:
        """Opens the source that was asked for, checked before or not."""


def check_source(request: SourceRequest) -> None:
    """Refuses a source that does not exist, without reading or fetching it.

    Raises:
        SourceError: If the kind, the name, the folder or an option is wrong.
    """
    _check_options(request)
    _find_kind(request.kind).check_request(request)


def open_source(request: SourceRequest) -> Source:
    """Opens the source that a user asked for, checked before or not.

    Raises:
        SourceError: If it is unknown, empty, or no classification problem.
    """
    _check_options(request)
    source = _find_kind(request.kind).open_request(request)
    if request.limit is None:
        return source
    return LimitedSource(source, request.limit)


def _check_options(request: SourceRequest) -> None:
    """Refuses a kind that is unknown, and options that are not its own."""
    if request.dataset != "digits" and (
        request.kind not in OPTIONS or not request.name
    ):
        raise SourceError(
            "The dataset is of no known kind. Expected: `digits`, "
            "`folder:DIR`, `hf:NAME`, `tfds:NAME` or `wds:PATTERN`. Received: "
            f"{request.dataset!r}. Give one with `--dataset`."
        )
    for field, option in (OPTIONS["folder"]).items():
        if getattr(request, field) and field not in OPTIONS[request.kind]:
            kinds = [
                f"`{k}:`" for k, taken in OPTIONS.items() if field in taken
            ]
            raise SourceError(
                f"The option `{option}` says nothing of the dataset "
                f"{request.dataset}. Expected: one of {', '.join(kinds)} with "
                "it. Leave it out, or give another dataset with `--dataset`."
            )
    names = request.split_names
    if names["train"] == names["test"]:
        raise SourceError(
            f"Both train and test are {names['train']!r}. Expected: two "
            "splits. Give others with `--train-split` and `--test-split`."
        )


def _find_kind(kind: str) -> Kind:
    """Imports the module of a kind, and no other's libraries."""
    if kind == "tfds":
        from embed.sources import tfds

        return tfds
    if kind == "hf":
        from embed.sources import hf

        return hf
    if kind == "wds":
        from embed.sources import wds

        return wds
    if kind == "folder":
        from embed.sources import folder

        return folder
    from embed.sources import digits

    return digits
