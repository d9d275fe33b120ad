"""Tests for `embed.sources.folder`."""

import shutil

import numpy as np
import pytest

from embed.errors import SourceError
from embed.sources import SourceRequest
from embed.sources import check_source
from embed.sources import open_source
from embed.sources.folder import FolderSource
from embed.splits import is_held_out


def touch(root, *names):
    """Makes files that hold their own name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def ids_of(root):
    """Returns the ids by split."""
    splits = FolderSource(root).splits
    return {split: list(index.image_ids) for split, index in splits.items()}


def test_ids_are_paths_below_the_split(picture_folder):
    """Ids are sorted, unique within a split, and say class and file."""
    source = FolderSource(picture_folder)

    train = source.splits["train"].image_ids
    assert train[:2] == ("cat/00.jpg", "cat/01.png")
    assert list(train) == sorted(train)
    assert len(train) == 30
    assert len(source.splits["test"].image_ids) == 12


def test_classes_are_folder_names(picture_folder):
    """Class names are sorted, and each picture has its folder's label."""
    source = FolderSource(picture_folder)

    assert source.class_names == ("cat", "dog", "été")
    np.testing.assert_array_equal(
        source.splits["train"].labels, np.repeat([0, 1, 2], 10)
    )
    assert source.splits["train"].labels.dtype == np.int32


def test_pictures_are_the_bytes_of_the_files(picture_folder):
    """Nothing is decoded or changed on the way."""
    source = FolderSource(picture_folder)

    pictures = list(source.read("test", [0, 11]))

    test = picture_folder / "test"
    assert pictures == [
        (test / "cat" / "00.jpg").read_bytes(),
        (test / "été" / "03.png").read_bytes(),
    ]


def test_place_changes_nothing(picture_folder, tmp_path):
    """A folder that was moved is the same source: name, ids and labels."""
    before = FolderSource(picture_folder)
    moved = picture_folder.rename(tmp_path / "moved")

    after = FolderSource(moved)

    assert (after.name, after.version) == (before.name, before.version)
    for split, index in before.splits.items():
        assert after.splits[split].image_ids == index.image_ids


def test_flat_folder_is_divided_by_hash(tmp_path):
    """Without train and test folders, the id's hash decides; all are used."""
    names = [f"{name}/{i:03}.png" for name in "ab" for i in range(100)]
    touch(tmp_path, *names)

    ids = ids_of(tmp_path)

    in_test = is_held_out(names, 0.2, salt="test")
    assert ids["test"] == np.array(names)[in_test].tolist()
    assert sorted(ids["train"] + ids["test"]) == names
    assert 20 < len(ids["test"]) < 60


def test_new_pictures_leave_old_ones_where_they_are(tmp_path):
    """A flat folder may grow, by pictures and by classes."""
    touch(tmp_path, *[f"{name}/{i}.png" for name in "bc" for i in range(50)])
    before = ids_of(tmp_path)

    touch(tmp_path, *[f"{name}/{i}.png" for name in "abcd" for i in range(80)])

    after = ids_of(tmp_path)
    for split, ids in before.items():
        assert set(ids) <= set(after[split])


def test_only_pictures_count(tmp_path):
    """Other files, files beside classes and hidden folders are left alone."""
    for split in ("train", "test"):
        touch(
            tmp_path,
            *(f"{split}/a/1.png", f"{split}/b/2.JPG", f"{split}/b/3.Jpeg"),
            *(f"{split}/b/sub/4.bmp", f"{split}/b/5.gif"),
            *(f"{split}/a/notes.txt", f"{split}/a/6.tiff", f"{split}/7.png"),
            *(f"{split}/.cache/8.png", f"{split}/a/9"),
        )

    expected = ["a/1.png", "b/2.JPG", "b/3.Jpeg", "b/5.gif", "b/sub/4.bmp"]
    assert ids_of(tmp_path) == {"train": expected, "test": expected}
    assert FolderSource(tmp_path).class_names == ("a", "b")


def test_folder_named_like_a_picture_is_none(tmp_path):
    """A directory `x.png` is walked, not read."""
    touch(tmp_path, *(f"{s}/{c}/x.png/1.png" for s in _splits() for c in "ab"))

    assert ids_of(tmp_path)["train"] == ["a/x.png/1.png", "b/x.png/1.png"]


def _splits():
    return ("train", "test")


def test_class_that_only_test_has_is_a_class(tmp_path):
    """Class names come from both splits, so that labels agree."""
    touch(tmp_path, "train/a/1.png", "train/c/1.png", "test/b/1.png")

    source = FolderSource(tmp_path)

    assert source.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(source.splits["train"].labels, [0, 2])
    np.testing.assert_array_equal(source.splits["test"].labels, [1])


@pytest.mark.parametrize("function", [open_source, check_source])
def test_no_folder(tmp_path, function):
    """The message says how the folder should look."""
    request = SourceRequest(dataset=f"folder:{tmp_path / 'none'}")

    with pytest.raises(SourceError, match=r"train/<class>/ .*--dataset folder"):
        function(request)


def test_empty_folder(tmp_path):
    """The message lists the endings that count."""
    with pytest.raises(SourceError, match=r"'\.jpg', '\.png'.*Put pictures"):
        FolderSource(tmp_path)


def test_folder_without_class_folders(tmp_path):
    """Pictures need a class folder above them."""
    touch(tmp_path, "1.png", "2.png")

    with pytest.raises(SourceError, match=r"holds no pictures.*Put pictures"):
        FolderSource(tmp_path)


def test_single_class(picture_folder):
    """One folder a class, and at least two of them."""
    for split in _splits():
        for name in ("dog", "été"):
            shutil.rmtree(picture_folder / split / name)

    with pytest.raises(SourceError, match="Add pictures of another class"):
        FolderSource(picture_folder)


def test_empty_test_split(picture_folder):
    """A split without pictures is an error, not a split of no images."""
    for class_dir in (picture_folder / "test").iterdir():
        shutil.rmtree(class_dir)

    with pytest.raises(SourceError, match="no images in its test split"):
        FolderSource(picture_folder)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_one_split_alone_is_refused(picture_folder, missing):
    """A lone `train` folder is no class named train."""
    shutil.rmtree(picture_folder / missing)

    with pytest.raises(SourceError):
        FolderSource(picture_folder)


def test_a_picture_that_vanishes_is_named(picture_folder):
    """A file removed after it was listed is one error, with its path."""
    source = FolderSource(picture_folder)
    for path in (picture_folder / "train").rglob("*.png"):
        path.unlink()

    with pytest.raises(SourceError, match="run the command again"):
        list(source.read("train", range(4)))


def test_a_name_that_is_no_utf_8_is_refused(picture_folder):
    """An id must be text; such a name is shown escaped."""
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    (picture_folder / "train" / "cat" / name).write_bytes(b"")

    with pytest.raises(SourceError, match="Rename it"):
        FolderSource(picture_folder)


def test_train_and_val_are_no_classes(picture_folder):
    """A folder divided otherwise than expected is refused, not misread."""
    (picture_folder / "test").rename(picture_folder / "val")

    with pytest.raises(SourceError, match="of which validation is carved"):
        FolderSource(picture_folder)


def test_a_class_without_pictures_is_refused(picture_folder):
    """A class of which no file counts does not vanish without a word."""
    for path in (picture_folder / "train" / "cat").iterdir():
        path.rename(path.with_suffix(".heic"))

    with pytest.raises(SourceError, match="Convert them"):
        FolderSource(picture_folder)
