"""Tests for `embed.reading`."""

import itertools

import numpy as np
import pytest

from embed.images import ImageDecoder
from embed.reading import PictureFile
from embed.reading import decode_files
from tests.odd_pictures import odd_pictures

SIZE = (8, 8)


@pytest.fixture(name="paths")
def _paths(picture_folder):
    """The paths of 30 pictures."""
    return [str(path) for path in sorted(picture_folder.glob("train/*/*"))]


def decode(paths, num_ahead=4):
    """Returns all files, decoded."""
    files = (PictureFile(str(path)) for path in paths)
    return list(decode_files(files, ImageDecoder(SIZE), num_ahead))


def test_pixels_are_those_of_the_cache(paths):
    """In the order of the paths, each as the decoder of a build has it."""
    files = decode(paths)

    assert [file.path for file in files] == paths
    decoder = ImageDecoder(SIZE)
    for file in files:
        with open(file.path, "rb") as stream:
            expected = decoder(stream.read())
        assert file.problem == ""
        np.testing.assert_array_equal(file.pixels, expected)


def test_every_odd_picture_is_decoded_or_has_a_reason(tmp_path):
    """None stops the others, whatever is in it."""
    odd = odd_pictures()
    paths = [tmp_path / f"{one.name}{one.suffix}" for one in odd]
    for path, one in zip(paths, odd, strict=True):
        path.write_bytes(one.encoded)

    files = decode(paths)

    for one, file in zip(odd, files, strict=True):
        assert (file.pixels is None) == one.is_damaged, one.name
        assert bool(file.problem) == one.is_damaged, one.name


def test_what_cannot_be_read_says_why(paths, tmp_path):
    """A path that is gone, a folder, one with a null; the rest goes on."""
    nowhere = tmp_path / "gone.jpg"

    gone, folder, null, good = decode([nowhere, tmp_path, "a\0b", paths[0]])

    assert gone.problem == "it cannot be read: No such file or directory"
    assert folder.problem == "it cannot be read: it is no file"
    assert null.problem == "it cannot be read: embedded null byte"
    assert good.problem == ""


def test_a_file_with_a_problem_is_not_opened(paths):
    """What is wrong with it is known already."""
    file = PictureFile(paths[0], problem="it is not wanted")

    assert list(decode_files([file], ImageDecoder(SIZE), 1)) == [file]


def test_files_are_taken_as_they_are_needed(paths):
    """No more than so many ahead, so that there may be any number of them."""
    num_taken = 0

    def name_files():
        nonlocal num_taken
        for path in 20 * paths:
            num_taken += 1
            yield PictureFile(path)

    files = decode_files(name_files(), ImageDecoder(SIZE), num_ahead=5)
    list(itertools.islice(files, 20))

    assert 20 <= num_taken <= 20 + 5 + 1
