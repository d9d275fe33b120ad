"""Tests for `head.predicting.inputs`."""

import io
import itertools
import os

import pytest

from embed.errors import SourceError
from head.predicting.inputs import PAUSE
from head.predicting.inputs import list_inputs
from head.predicting.inputs import read_lines


@pytest.fixture(name="folder")
def _folder(tmp_path, monkeypatch):
    """The folder in which the command runs, with pictures and other files."""
    for name in ("b/2.jpg", "b/10.png", "b/c/1.JPG", "a.jpg", "b/.x.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a picture")
    (tmp_path / "b" / "notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths_of(*arguments, lines=()):
    """Returns the paths that arguments and lines name."""
    return [file.path for file in list_inputs(arguments, lines)]


@pytest.mark.usefixtures("folder")
def test_a_folder_stands_for_its_pictures_at_any_depth():
    """Sorted; hidden files and what is no picture are left out."""
    assert paths_of("b") == ["b/10.png", "b/2.jpg", "b/c/1.JPG"]


@pytest.mark.usefixtures("folder")
def test_a_named_file_is_taken_whatever_it_is():
    """Whoever names it wants an answer, or to know why there is none."""
    assert paths_of("b/notes.txt", "b/.x.jpg") == ["b/notes.txt", "b/.x.jpg"]


@pytest.mark.usefixtures("folder")
def test_globs_that_no_shell_expanded():
    """Sorted; `**` is any depth, and a folder that matches is searched."""
    assert paths_of("b/*.png") == ["b/10.png"]
    assert paths_of("**/*.jpg") == ["a.jpg", "b/2.jpg"]
    assert paths_of("[be]*") == ["b/10.png", "b/2.jpg", "b/c/1.JPG"]


def test_a_file_whose_name_looks_like_a_glob(folder):
    """It is the file that is meant."""
    (folder / "[ab].jpg").write_bytes(b"a picture")

    assert paths_of("[ab].jpg") == ["[ab].jpg"]


def test_each_file_comes_once_at_its_first_place(folder):
    """However often and by whatever spelling it is named."""
    paths = paths_of("b/2.jpg", "b", "./a.jpg", str(folder / "a.jpg"), "*.jpg")

    assert paths == ["b/2.jpg", "b/10.png", "b/c/1.JPG", "./a.jpg"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("c.jpg", "no file or folder 'c.jpg'"),
        ("", "no file or folder ''"),
        ("c*.jpg", "No picture matches"),
        ("empt*", "No picture matches"),
        ("empty", "holds no pictures"),
    ],
)
def test_an_argument_without_pictures_is_refused_at_once(argument, message):
    """Before anything is read, with the ways to name some."""
    with pytest.raises(SourceError, match=message) as raised:
        list_inputs(["a.jpg", argument], ())

    assert "globs in quotes, or `-` for paths on stdin" in str(raised.value)


@pytest.mark.usefixtures("folder")
def test_stdin_holds_a_path_a_line_at_its_place():
    """Empty lines are passed over, folders searched, endings of Windows cut."""
    lines = [b"a.jpg\n", b"\n", b"b/c\r\n", b"with  blanks .jpg"]

    assert paths_of("b/2.jpg", "-", lines=lines) == [
        "b/2.jpg",
        "a.jpg",
        "b/c/1.JPG",
        "with  blanks .jpg",
    ]


@pytest.mark.usefixtures("folder")
def test_a_bad_line_is_the_problem_of_that_line():
    """One of a million does not stop the others."""
    files = list(list_inputs(["-"], [b"gone.jpg\n", b"empty\n", b"a.jpg\n"]))

    assert [file.path for file in files] == ["gone.jpg", "empty", "a.jpg"]
    assert "holds no pictures" in files[1].problem
    assert files[2].problem == ""


def test_names_that_are_no_text_stay_what_they_are():
    """A path is bytes; it is opened as it came."""
    (path,) = paths_of("-", lines=[b"\xff\xfe.jpg\n"])

    assert os.fsencode(path) == b"\xff\xfe.jpg"


def test_no_more_lines_are_read_than_are_needed():
    """Stdin may go on for ever."""
    numbers = iter(range(1000))
    lines = (b"%d.jpg\n" % number for number in numbers)

    files = list(itertools.islice(list_inputs(["-"], lines), 3))

    assert [file.path for file in files] == ["0.jpg", "1.jpg", "2.jpg"]
    assert next(numbers) == 3


def test_a_pause_of_a_pipe_is_told_once():
    """Between lines, whatever pieces they come in."""
    place, end = os.pipe()
    with open(place, "rb") as stream, open(end, "wb", buffering=0) as writer:
        lines = read_lines(stream)
        writer.write(b"1.jpg\n2.jpg\n3.")
        first = [next(lines) for _ in range(3)]
        writer.write(b"jpg\n4.jpg")
        writer.close()
        rest = list(lines)

    assert first == [b"1.jpg", b"2.jpg", PAUSE]
    assert rest == [b"3.jpg", b"4.jpg"]


def test_what_is_no_pipe_has_no_pauses(tmp_path):
    """Of a file the next line is there."""
    (tmp_path / "paths.txt").write_bytes(b"1.jpg\n2.jpg\n")
    with open(tmp_path / "paths.txt", "rb") as stream:
        lines = [*read_lines(stream), *read_lines(io.BytesIO(b"3.jpg\n"))]

    assert lines == [b"1.jpg", b"2.jpg", b"3.jpg\n"]
    assert [f and f.path for f in list_inputs(["-"], [b"a", PAUSE, b"a"])] == [
        "a",
        PAUSE,
    ]
