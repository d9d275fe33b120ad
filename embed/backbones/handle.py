"""A handle, `KIND:PLACE?option=value&...`, taken apart and put together.

    keras:NAME[?alpha=1.4&...]     a network of keras.applications
    kerashub:PRESET                a preset of KerasHub, or a folder of one
    hub:ADDRESS, hub:DIR           a module of TF-Hub
    kaggle:OWNER/MODEL/FRAMEWORK/VARIATION[/VERSION]
    savedmodel:DIR                 any SavedModel of images to features
    model:FILE                     any saved Keras model, less its classifier

`?range=LOW,HIGH` says what pixels a network takes, `embed.backbones.scaling`
what else it can be.
"""

import dataclasses
import os
import urllib.parse
from pathlib import Path

from embed.errors import BackboneError

KERAS, KERAS_HUB, HUB = "keras", "kerashub", "hub"
KAGGLE, SAVED_MODEL, MODEL = "kaggle", "savedmodel", "model"
KINDS = (KERAS, KERAS_HUB, HUB, KAGGLE, SAVED_MODEL, MODEL)
WITH_PATHS = (KERAS_HUB, HUB, SAVED_MODEL, MODEL)
RANGE = "range"
LOCAL = "local"  # A path in a name: the place of a file changes no vector.


@dataclasses.dataclass(frozen=True)
class Handle:
    """What a user named.

    Args:
        kind: One of `KINDS`.
        place: A name, an address or a path.
        options: What followed the question mark.
    """

    kind: str
    place: str
    options: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The place as a path."""
        return expand(self.place)

    @property
    def is_local(self) -> bool:
        """Whether the place is a file or folder of this machine."""
        return self.kind in WITH_PATHS and self.path.exists()

    def anchored(self) -> "Handle":
        """Returns the same with an absolute path, where it is one."""
        if not self.is_local:
            return self
        return dataclasses.replace(self, place=str(self.path.absolute()))

    def __str__(self) -> str:
        return join_handle(self.kind, self.place, self.options)


def parse_handle(text: str) -> Handle:
    """Takes a handle apart.

    Raises:
        BackboneError: If it is of no known kind, or has an unknown option.
    """
    kind, _, place = text.partition(":")
    if kind not in KINDS or not place:
        raise BackboneError(
            "The backbone is of no known kind. Expected: `keras:NAME"
            "[?alpha=1.4]`, `kerashub:PRESET`, `hub:ADDRESS`, `hub:DIR`, "
            "`kaggle:OWNER/MODEL/FRAMEWORK/VARIATION`, `savedmodel:DIR` or "
            f"`model:FILE`. Received: {text!r}. Give one with `--backbone`; "
            "`python -m embed backbones` lists some."
        )
    if kind == KERAS:
        name, _, query = place.partition("?")
        return Handle(kind, name, _parse_query(query))
    front, mark, query = place.rpartition("?")
    if not mark or expand(place).exists():
        return Handle(kind, place)
    if kind == HUB and "://" in front and not query.startswith(f"{RANGE}="):
        _require_no_range(place, query)
        return Handle(kind, place)
    options = _parse_query(query)
    if set(options) != {RANGE}:
        raise BackboneError(
            f"The backbone {text} has unknown options. Expected: "
            f"`?{RANGE}=LOW,HIGH`. Received: `?{query}`. Write `--backbone "
            f"{kind}:{front}?{RANGE}=0,1`."
        )
    return Handle(kind, front, options)


def join_handle(kind: str, place: str, options: dict[str, str]) -> str:
    """Returns the handle of which these are the parts."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{kind}:{place}{'?' if query else ''}{query}"


def expand(place: str) -> Path:
    """Returns a place as a path, `~` being the home of whoever is known."""
    return Path(os.path.expanduser(place))


def _require_no_range(address: str, query: str) -> None:
    """Refuses a range among what the server of an address is to be asked.

    Raises:
        BackboneError: If there is one.
    """
    pairs = query.split("&")
    found = [pair for pair in pairs if pair.partition("=")[0] == RANGE]
    if not found:
        return
    others = [pair for pair in pairs if pair not in found]
    front = address.removesuffix(f"?{query}")
    front += f"?{'&'.join(others)}"
    raise BackboneError(
        f"The address {address} has a pixel range in its own query. Expected: "
        f"`?{RANGE}=LOW,HIGH` behind the whole address. Received: `?{query}`. "
        f"Write `--backbone '{HUB}:{front}?{found[-1]}'`."
    )


def _parse_query(query: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
