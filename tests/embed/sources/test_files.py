"""Tests for `embed.sources.files`."""

import errno
import os
import socket

import pytest

from embed.errors import SourceError
from embed.sources import files
from embed.sources.files import UnfitFileError
from embed.sources.files import list_files
from embed.sources.files import list_names
from embed.sources.files import read_file
from tests.odd_pictures import undamaged_pictures

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def names_of(paths):
    """Returns the last part of each path."""
    return [path.name for path in paths]


def test_endings_count_in_any_case(tmp_path):
    """Cameras write them in capitals."""
    names = ["1.JPG", "2.Png", "3.jxl", "4.TIFF", "5.heic", "6.jfif"]
    for name in names:
        (tmp_path / name).touch()

    assert names_of(list_files(tmp_path).pictures) == names


def test_first_bytes_tell_where_the_ending_does_not(tmp_path):
    """A picture without an ending, or with a wrong one, is a picture."""
    for name in ("photo", "photo.1", "photo.dat"):
        (tmp_path / name).write_bytes(PNG)
    for name in ("labels.csv", "README"):
        (tmp_path / name).write_text("a,b")

    listing = list_files(tmp_path)

    assert names_of(listing.pictures) == ["photo", "photo.1", "photo.dat"]
    assert names_of(listing.ignored) == ["README", "labels.csv"]


def test_what_systems_leave_is_not_even_told(tmp_path):
    """Nobody wants to read of it."""
    names = (".DS_Store", "._1.jpg", "Thumbs.db", "desktop.ini", ".cache/2.png")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)

    listing = list_files(tmp_path)

    assert (listing.pictures, listing.ignored) == ((), ())


def test_order_is_that_of_sorted_paths(tmp_path):
    """Rows keep their places, whatever the system lists first."""
    names = ["b/1.png", "b.png", "a/z.png", "a/b/c.png", "B.png", "é.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    pictures = list_files(tmp_path).pictures

    assert list(pictures) == sorted(tmp_path / name for name in names)


def test_links_to_files_are_files(tmp_path):
    """A link with the ending of a picture is one, even if nothing is there."""
    (tmp_path / "1.png").write_bytes(PNG)
    (tmp_path / "2.png").symlink_to("1.png")
    (tmp_path / "3.png").symlink_to("nowhere")
    (tmp_path / "4.png").symlink_to("4.png")
    (tmp_path / "5").symlink_to("nowhere")

    listing = list_files(tmp_path)

    pictures = ["1.png", "2.png", "3.png", "4.png"]
    assert names_of(listing.pictures) == pictures
    assert names_of(listing.ignored) == ["5"]
    assert read_file(tmp_path / "2.png") == PNG
    for name, code in (("3.png", errno.ENOENT), ("4.png", errno.ELOOP)):
        with pytest.raises(OSError, match=os.strerror(code)) as caught:
            read_file(tmp_path / name)
        assert caught.value.errno == code


def test_links_to_folders_are_followed(tmp_path):
    """Pictures may be gathered from elsewhere, and twice."""
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "1.png").write_bytes(PNG)
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("a", "b.png"):
        (folder / name).symlink_to(tmp_path / "elsewhere")

    names = list_names(folder)

    assert names.pictures == ["a/deep/1.png", "b.png/deep/1.png"]
    assert names.ignored == []


def test_links_that_go_round_are_not_followed(tmp_path):
    """A cycle ends, and is told."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(PNG)
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "again.png").symlink_to(tmp_path)

    names = list_names(tmp_path)

    assert names.pictures == ["a/1.png"]
    assert names.ignored == ["a/again", "again.png"]


def test_what_is_no_file_is_never_opened(tmp_path, monkeypatch):
    """A FIFO or a socket would keep the reader waiting for ever."""
    monkeypatch.chdir(tmp_path)  # A socket's path is short.
    for name in ("fifo.jpg", "fifo"):
        os.mkfifo(name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")

        listing = list_files(tmp_path)

        assert names_of(listing.pictures) == ["fifo.jpg", "socket.png"]
        assert names_of(listing.ignored) == ["fifo"]
        for path in listing.pictures:
            with pytest.raises(UnfitFileError, match="it is no file"):
                read_file(path)


def test_a_folder_in_place_of_a_picture_is_no_file(tmp_path):
    """It may have become one since it was listed."""
    with pytest.raises(UnfitFileError, match="it is no file"):
        read_file(tmp_path)


def test_a_file_that_nobody_could_decode_is_not_read(tmp_path):
    """It would fill the memory before TensorFlow refused it."""
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(files.MAX_FILE_BYTES + 1)  # Sparse: it takes no room.

    with pytest.raises(UnfitFileError, match="2,147,483,648 bytes, more than"):
        read_file(path)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    """Its pictures do not vanish without a word."""

    def fail(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", fail)

    with pytest.raises(SourceError, match="Make it readable, or move it away"):
        list_files(tmp_path)


def test_bytes_are_those_of_the_file(tmp_path):
    """Nothing is changed on the way, whatever the name."""
    for odd in undamaged_pictures():
        path = tmp_path / f"{odd.name}{odd.suffix}"
        path.write_bytes(odd.encoded)

        assert read_file(path) == odd.encoded
