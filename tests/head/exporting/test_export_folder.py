"""Tests for `head.exporting.export_folder`."""

import json

import pytest

from embed.errors import StorageError
from head.exporting.export_folder import keep_others


@pytest.fixture(name="exported")
def _exported(tmp_path):
    """An export to a SavedModel, as far as its files go."""
    (tmp_path / "old" / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "old" / "saved_model" / "saved_model.pb").write_text("graph")
    record = {"savedmodel": {"head_digest": "a"}}
    (tmp_path / "old" / "parity.json").write_text(json.dumps(record))
    (tmp_path / "new").mkdir()
    return tmp_path / "old", tmp_path / "new"


@pytest.mark.parametrize(
    ("digest", "written", "kept"),
    [
        ("a", ["onnx"], True),
        ("b", ["onnx"], False),
        ("a", ["savedmodel"], False),
    ],
)
def test_formats_of_the_same_head_are_kept(exported, digest, written, kept):
    """Those that are written anew are not."""
    old, new = exported

    record = keep_others(old, new, written, digest)

    assert (new / "saved_model" / "saved_model.pb").exists() == kept
    assert record == ({"savedmodel": {"head_digest": "a"}} if kept else {})


def test_what_cannot_be_copied_is_one_error(exported):
    """`copytree` collects the errors of all files in one of its own."""
    old, new = exported
    (old / "saved_model" / "gone").symlink_to("nowhere")

    with pytest.raises(StorageError, match=r"savedmodel .* No such file"):
        keep_others(old, new, ["onnx"], "a")
