"""Handles, taken apart and put together."""

import pytest

from embed.backbones.handle import parse_handle
from embed.errors import BackboneError


@pytest.mark.parametrize(
    ("text", "kind", "place", "options"),
    [
        ("keras:A", "keras", "A", {}),
        ("keras:A?alpha=1.4&b=x", "keras", "A", {"alpha": "1.4", "b": "x"}),
        ("kerashub:hf://a/b", "kerashub", "hf://a/b", {}),
        ("hub:https://x/y/4", "hub", "https://x/y/4", {}),
        ("hub:https://x/y?z=1", "hub", "https://x/y?z=1", {}),
        ("hub:https://x?range=-1,1", "hub", "https://x", {"range": "-1,1"}),
        ("model:C:/a.h5?range=0,1", "model", "C:/a.h5", {"range": "0,1"}),
        ("savedmodel:dir", "savedmodel", "dir", {}),
    ],
)
def test_a_handle_is_kind_place_and_options(text, kind, place, options):
    """An address keeps a query of its own; all comes back as it was."""
    handle = parse_handle(text)

    assert (handle.kind, handle.place, handle.options) == (kind, place, options)
    assert str(handle) == text


def test_a_question_mark_in_a_path_is_no_option(tmp_path):
    """What lies there under its whole name is that file."""
    path = tmp_path / "what?range=0,1"
    path.touch()

    assert parse_handle(f"model:{path}").place == str(path)


@pytest.mark.parametrize("query", ["rnage=0,1", "x", "range=0,1&a=b", ""])
def test_an_unknown_option_is_refused(query):
    """A typo is not taken for a part of the path."""
    with pytest.raises(BackboneError, match=r"model:a.h5\?range=0,1"):
        parse_handle(f"model:a.h5?{query}")
