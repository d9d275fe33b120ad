"""Tests for `embed.upkeep.difference`."""

import dataclasses

import numpy as np
import pytest

from embed.cache import open_cache
from embed.storage.writer import write_cache
from embed.upkeep.difference import PictureDifference
from embed.upkeep.difference import compare_caches
from tests.drawn_caches import FEATURE_DIM
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import as_content
from tests.drawn_caches import create_spec
from tests.drawn_caches import draw_rows
from tests.drawn_caches import write_unlabelled_cache

NUM_ROWS = 6
NONE = PictureDifference(0, 0, 0, 0)


@pytest.fixture(name="write")
def _write(tmp_path):
    """Writes a cache of rows, changed by column of train; opens it."""

    def write(name, *, change=lambda rows: rows, **fields):
        train = change(draw_rows(NUM_ROWS))
        test = draw_rows(2)
        path = tmp_path / name
        write_cache(
            path,
            spec=create_spec(len(train), 2, **fields),
            provenance=PROVENANCE,
            feature_dim=FEATURE_DIM,
            splits={"train": as_content(train), "test": as_content(test)},
        )
        return open_cache(path)

    return write


def test_equal_caches(write):
    """Whatever made them: equal specs and pictures are equal rows."""
    found = compare_caches(write("a.h5"), write("b.h5"))

    assert found.are_equal
    assert found.fields == {}
    assert found.pictures == {"train": NONE, "test": NONE}
    assert found.to_text() == "The caches hold the same rows."
    assert found.to_payload()["equal"] is True


def test_fields_of_the_spec(write):
    """Each innermost field with both values."""
    found = compare_caches(
        write("a.h5"), write("b.h5", backbone="keras:Other", views=("a", "b"))
    )

    assert not found.are_equal
    assert found.fields == {
        "backbone": ("keras:Tiny", "keras:Other"),
        "views": (["plain", "flip"], ["a", "b"]),
    }
    assert found.to_text().splitlines()[:3] == [
        "backbone",
        "  first   keras:Tiny",
        "  second  keras:Other",
    ]
    assert found.to_payload()["fields"]["backbone"] == {
        "first": "keras:Tiny",
        "second": "keras:Other",
    }


def test_pictures_by_kind_of_difference(write):
    """One is only here, two only there, one was replaced, one moved."""

    def change(rows):
        ids, labels = rows.image_ids.copy(), rows.labels.copy()
        digests = rows.content_digests.copy()
        labels[1] = 1 - labels[1]
        digests[2] ^= 1
        ids[3] = b"neu"
        return dataclasses.replace(
            rows, image_ids=ids, labels=labels, content_digests=digests
        )

    def shorten(rows):
        return dataclasses.replace(
            rows, **{name: v[:-1] for name, v in vars(rows).items()}
        )

    found = compare_caches(
        write("a.h5", change=shorten), write("b.h5", change=change)
    )

    assert found.pictures["test"] == NONE
    assert found.pictures["train"] == PictureDifference(
        only_first=1, only_second=2, other_content=1, other_class=1
    )
    assert found.to_text().splitlines()[-1] == (
        "train pictures: 1 only in the first, 2 only in the second, 1 of "
        "other content, 1 of another class"
    )
    assert found.to_payload()["pictures"]["train"]["only_second"] == 2


def test_renamed_classes_are_other_classes(write):
    """Labels are numbers; what they are called is what counts."""
    found = compare_caches(
        write("a.h5"), write("b.h5", class_names=("dog", "cat"))
    )

    assert found.pictures["train"].other_class == NUM_ROWS


def test_renumbered_classes_are_the_same_classes(write):
    """A class more renumbers the others, and no picture differs."""

    def renumber(rows):
        return dataclasses.replace(rows, labels=rows.labels + np.int32(1))

    found = compare_caches(
        write("a.h5"),
        write("b.h5", change=renumber, class_names=("ant", "cat", "dog")),
    )

    assert found.pictures["train"].other_class == 0


def test_caches_without_labels(tmp_path):
    """Their pictures are compared too, and none is of another class."""

    def change(rows):
        digests = rows.content_digests.copy()
        digests[2] ^= 1
        return dataclasses.replace(rows, content_digests=digests)

    write_unlabelled_cache(tmp_path / "a.h5")
    write_unlabelled_cache(tmp_path / "b.h5", change=change)

    found = compare_caches(
        open_cache(tmp_path / "a.h5"), open_cache(tmp_path / "b.h5")
    )

    assert found.pictures == {
        "unlabelled": PictureDifference(0, 0, other_content=1, other_class=0)
    }
    assert found.to_text() == "unlabelled pictures: 1 of other content"


def test_features_are_not_read(write):
    """A damaged row does not keep anybody from comparing."""
    first, second = write("a.h5"), write("b.h5")
    column = second.seal.columns["train"]["features"]
    with second.path.open("r+b") as file:
        file.seek(column.offset)
        file.write(b"\xff" * column.row_bytes)

    assert compare_caches(first, second).are_equal
