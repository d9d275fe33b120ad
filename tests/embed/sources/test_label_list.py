"""Tests for `embed.sources.label_list`."""

import pytest

from embed.errors import SourceError
from embed.sources.label_list import read_label_list
from embed.sources.layout import USUAL_NAMES
from embed.sources.layout import arrange_by_list


@pytest.fixture(name="write")
def _write(tmp_path):
    def write(text):
        path = tmp_path / "labels.csv"
        path.write_bytes(text.encode())
        return path

    return write


def test_columns_are_known_by_their_names(write):
    """In any order, quoted or not, after a byte order mark, with CRLF."""
    path = write(
        '\ufefflabel,seen,path\r\n"a, b",1,x/1.jpg\r\ncat, ,./2.jpg \r\n'
    )

    listed = read_label_list(path, USUAL_NAMES)

    assert listed.labels == {"x/1.jpg": "a, b", "2.jpg": "cat"}
    assert listed.ids_by_split == {}


def test_splits_are_those_of_the_list(write):
    """Under the names that were asked for, and sorted as in a folder."""
    path = write(
        "path,label,split\nb.jpg,x,train\na.b,x,train\na/c.jpg,y,train\n"
        "d.jpg,x,val\n"
    )

    listed = read_label_list(path, {"train": "train", "test": "val"})

    assert listed.ids_by_split == {
        "train": ["a/c.jpg", "a.b", "b.jpg"],
        "test": ["d.jpg"],
    }


def test_without_splits_the_hash_decides(write, tmp_path):
    """As in a folder: the order of the list changes nothing."""
    names = [f"{number}.png" for number in range(50)]
    for name in names:
        (tmp_path / name).touch()
    lines = [f"{name},{'ab'[n % 2]}\n" for n, name in enumerate(names)]

    layouts = [
        arrange_by_list(tmp_path, write("path,label\n" + "".join(some)), None)
        for some in (lines, lines[::-1])
    ]

    assert layouts[0] == layouts[1]
    assert 2 < len(layouts[0].image_ids["test"]) < 20


def test_splits_that_a_list_does_not_know_are_refused(write, tmp_path):
    """No option is passed over in silence."""
    (tmp_path / "1.jpg").touch()
    names = {"train": "train", "test": "val"}

    with pytest.raises(
        SourceError, match=r"no column split.*train or val\. Add"
    ):
        arrange_by_list(tmp_path, write("path,label\n1.jpg,a\n"), names)


def test_other_pictures_are_left_alone(write, tmp_path):
    """A list may name some of those that are there."""
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (tmp_path / name).touch()

    layout = arrange_by_list(
        tmp_path,
        write("path,label,split\n1.jpg,a,train\n2.jpg,b,test\n"),
        None,
    )

    assert layout.image_ids == {"train": ["1.jpg"], "test": ["2.jpg"]}
    assert layout.labels == {"train": ["a"], "test": ["b"]}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"no column 'path' but \[\]"),
        ("file,label\n1.jpg,a\n", r"'path' but \['file', 'label'\]"),
        ("path,label\n1.jpg\n", "has no label in line 2"),
        ("path,label\n,a\n", "has no path in line 2"),
        ("path,label,split\n1.jpg,a,\n", "has the split '' in line 2"),
        ("path,label,split\n1.jpg,a,val\n", "'val' in line 2.*--test-split"),
        ("path,label\n../1.jpg,a\n", r"names '\.\./1.jpg' in line 2"),
        ("path,label\n/1.jpg,a\n", "names '/1.jpg' in line 2"),
        ("path,label\n1.jpg,a\nx/../1.jpg,a\n", "twice, .* in line 3"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write, text, match):
    """A list is mended in a minute, if it is known where."""
    with pytest.raises(SourceError, match=f"{match}.*Mend the list"):
        read_label_list(write(text), USUAL_NAMES)


def test_what_is_no_text_is_refused(tmp_path):
    """For one, a spreadsheet."""
    path = tmp_path / "labels.csv"
    path.write_bytes(b"PK\x03\x04\xff\xfe")

    with pytest.raises(SourceError, match=r"cannot be read.*CSV in UTF-8"):
        read_label_list(path, USUAL_NAMES)


def test_numbers_in_parquet_are_names(tmp_path):
    """A class may be a number."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "labels.parquet"
    table = pyarrow.table({"label": [7, 10], "path": ["1.jpg", "2.jpg"]})
    parquet.write_table(table, path)

    listed = read_label_list(path, USUAL_NAMES)

    assert listed.labels == {"1.jpg": "7", "2.jpg": "10"}


def test_what_is_no_parquet_is_refused(tmp_path):
    """In one line, whatever the library says."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "labels.parquet"
    path.write_text("path,label\n")

    with pytest.raises(SourceError, match=r"cannot be read.*Expected: Parquet"):
        read_label_list(path, USUAL_NAMES)
