"""Handles, taken apart and put together."""

import pytest

from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
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
        (
            "hub:https://x/y?z=1?range=-1,1",
            "hub",
            "https://x/y?z=1",
            {"range": "-1,1"},
        ),
        ("savedmodel:dir", "savedmodel", "dir", {}),
        ("model:~nosuchuser/a.h5", "model", "~nosuchuser/a.h5", {}),
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


@pytest.mark.parametrize("query", ["z=1&range=-1,1", "z=1&range=-1,1&y=2"])
def test_a_range_in_the_query_of_an_address_is_refused(query):
    """What the server is asked is not our option; the message puts it right."""
    with pytest.raises(BackboneError, match="behind the whole") as caught:
        parse_handle(f"hub:https://x/y?{query}")

    advised = str(caught.value).split("'")[1]
    assert parse_handle(advised).options == {"range": "-1,1"}


def test_an_unknown_option_of_an_address_of_presets_is_refused():
    """`hf://` and `kaggle://` take no query: it can only be a typo."""
    with pytest.raises(BackboneError, match="unknown options"):
        parse_handle("kerashub:hf://a/b?rnage=0,1")


def test_the_home_of_nobody_is_a_path_like_any_other():
    """A name that the system does not know gives no traceback."""
    request = BackboneRequest(handle="keras:A", weights="~nosuchuser/w.h5")

    assert request.anchored() == request


@pytest.mark.parametrize(
    "handle",
    [
        "keras:MobileNet",
        "kerashub:no_such_preset",
        "hub:https://127.0.0.1:9/module",
        "savedmodel:no_such_folder",
        "model:no_such_file",
    ],
)
def test_a_range_that_is_none_is_refused_first(handle):
    """Before anything is fetched, read or said to be missing."""
    request = BackboneRequest(handle=f"{handle}?range=1,0")

    with pytest.raises(BackboneError, match="pixel range"):
        load_backbone(request)
