"""Tests for `embed.sources.folder`."""

import errno
import os
import shutil

import numpy as np
import pytest

from embed.errors import SourceError
from embed.sources import Picture
from embed.sources import SourceRequest
from embed.sources import check_source
from embed.sources import open_source
from embed.sources.folder import FolderSource
from embed.splits import is_held_out
from tests.odd_pictures import odd_pictures


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

    pictures = [p.encoded for p in source.read("test", [0, 11])]

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
            *(f"{split}/a/._1.png", f"{split}/a/Thumbs.db"),
        )

    expected = [
        *("a/1.png", "a/6.tiff", "b/2.JPG", "b/3.Jpeg", "b/5.gif"),
        "b/sub/4.bmp",
    ]
    assert ids_of(tmp_path) == {"train": expected, "test": expected}
    source = FolderSource(tmp_path)
    assert source.class_names == ("a", "b")
    assert source.ignored == tuple(
        f"{split}/{name}"
        for split in ("train", "test")
        for name in ("7.png", "a/9", "a/notes.txt")
    )


def test_folder_named_like_a_picture_is_none(tmp_path):
    """A directory `x.png` is walked, not read."""
    touch(tmp_path, *(f"{s}/{c}/x.png/1.png" for s in _splits() for c in "ab"))

    assert ids_of(tmp_path)["train"] == ["a/x.png/1.png", "b/x.png/1.png"]


def _splits():
    return ("train", "test")


def test_class_that_only_train_has_is_a_class(tmp_path):
    """Class names come from both splits, so that labels agree."""
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "test/b/1.png")

    source = FolderSource(tmp_path)

    assert source.class_names == ("a", "b")
    np.testing.assert_array_equal(source.splits["train"].labels, [0, 1])
    np.testing.assert_array_equal(source.splits["test"].labels, [1])


def test_class_that_only_test_has_is_refused(tmp_path):
    """It cannot be learnt; where pictures are divided by hash it may be."""
    touch(tmp_path, "train/a/1.png", "train/c/1.png", "test/b/1.png")

    with pytest.raises(SourceError, match=r"'b' the first.*Add some, or take"):
        FolderSource(tmp_path)


@pytest.mark.parametrize(
    ("name", "label"),
    {
        "Abyssinian_12": "Abyssinian",
        "american_pit_bull_terrier_104": "american_pit_bull_terrier",
        "cat.0": "cat",
        "cat-7": "cat",
        "cat (7)": "cat",
        "cat7": "cat",
        "model2_7": "model2",
        "7_12": "7",
        "a_b-1_2": "a_b-1",
    }.items(),
)
def test_classes_in_names(tmp_path, name, label):
    """The class is what stands before the last number, at any depth."""
    for split in _splits():
        touch(tmp_path, f"{split}/deep/er/{name}.jpg", f"{split}/z_1.jpg")

    source = FolderSource(tmp_path, label_from="name")

    assert set(source.class_names) == {label, "z"}


def test_classes_in_names_of_a_flat_folder(tmp_path):
    """The layout of Oxford-IIIT Pet: all in one folder, divided by hash."""
    names = [f"{n}_{i}.jpg" for n in ("Bombay", "pug") for i in range(50)]
    touch(tmp_path, *names, "Bombay_1.mat")

    source = FolderSource(tmp_path, label_from="name")

    assert source.class_names == ("Bombay", "pug")
    counts = {s: len(i.labels) for s, i in source.splits.items()}
    assert sum(counts.values()) == 100
    assert 10 < counts["test"] < 35
    assert source.ignored == ("Bombay_1.mat",)


def test_folders_of_splits_may_have_other_names(picture_folder):
    """`--test-split val` takes what others call the validation split."""
    (picture_folder / "test").rename(picture_folder / "val")
    names = {"train": "train", "test": "val"}

    source = FolderSource(picture_folder, split_names=names)

    assert len(source.splits["test"].image_ids) == 12
    with pytest.raises(SourceError, match="`--train-split` and `--test-split`"):
        FolderSource(picture_folder, split_names={**names, "train": "all"})


def test_folders_that_were_named_are_taken_and_others_left_alone(
    picture_folder,
):
    """Beside `val`, `train` and `test` have to be asked for."""
    shutil.copytree(picture_folder / "test", picture_folder / "val")
    dataset = f"folder:{picture_folder}"

    with pytest.raises(SourceError, match="others are left alone"):
        open_source(SourceRequest(dataset=dataset))
    source = open_source(SourceRequest(dataset=dataset, test_split="test"))

    assert len(source.splits["test"].image_ids) == 12


@pytest.mark.parametrize(
    ("train", "test"), [("Train", "Test"), ("training", "testing")]
)
def test_splits_by_other_names_are_no_classes(picture_folder, train, test):
    """In capitals or at length they are what they say."""
    (picture_folder / "train").rename(picture_folder / train)
    (picture_folder / "test").rename(picture_folder / test)

    with pytest.raises(SourceError, match="`--train-split` and `--test-split`"):
        FolderSource(picture_folder)


def test_pictures_without_labels(picture_folder):
    """All pictures at any depth make one split, without classes."""
    (picture_folder / "notes.txt").write_text("none")
    source = FolderSource(picture_folder, label_from="none")

    assert (list(source.splits), source.class_names) == (["unlabelled"], ())
    index = source.splits["unlabelled"]
    assert len(index.image_ids) == 42
    assert index.image_ids[:2] == ("test/cat/00.jpg", "test/cat/01.png")
    assert set(index.labels.tolist()) == {-1}
    assert source.ignored == ("notes.txt",)
    (picture,) = source.read("unlabelled", [0])
    path = picture_folder / "test" / "cat" / "00.jpg"
    assert picture.encoded == path.read_bytes()


@pytest.mark.parametrize("function", [open_source, check_source])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"label_from": "nmae"}, "folder, name, none.*'nmae'.*--label-from"),
        ({"labels": "gone.csv"}, "no list of labels .*`--labels FILE`"),
        (
            {"label_from": "none", "test_split": "val"},
            "`--test-split` with `--label-from none`",
        ),
    ],
)
def test_options_that_make_no_sense(picture_folder, function, options, match):
    """They are refused before anything is listed."""
    request = SourceRequest(dataset=f"folder:{picture_folder}", **options)

    with pytest.raises(SourceError, match=match):
        function(request)


@pytest.mark.parametrize("function", [open_source, check_source])
def test_no_folder(tmp_path, function):
    """The message says how the folder should look."""
    request = SourceRequest(dataset=f"folder:{tmp_path / 'none'}")

    with pytest.raises(SourceError, match=r"train/<class>/ .*--dataset folder"):
        function(request)


def test_empty_folder(tmp_path):
    """The message lists the formats that count."""
    with pytest.raises(SourceError, match=r"JPEG, .* or WebP\. Put pictures"):
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


def test_a_picture_that_vanishes_is_a_problem_of_its_row(picture_folder):
    """A file removed after it was listed shifts no other."""
    source = FolderSource(picture_folder)
    expected = list(source.read("train", range(4)))
    for path in (picture_folder / "train").rglob("*.png"):
        path.unlink()

    pictures = list(source.read("train", range(4)))

    assert pictures[::2] == expected[::2]
    assert {p.problem for p in pictures[1::2]} == {
        "it cannot be read: No such file or directory"
    }


@pytest.mark.parametrize("is_flat", [False, True])
def test_a_folder_that_vanishes_ends_the_build(picture_folder, is_flat):
    """A disk that is gone makes no thousands of bad pictures."""
    root = picture_folder / "train" if is_flat else picture_folder
    source = FolderSource(root)
    for path in root.iterdir():  # What remains is where it was mounted.
        shutil.rmtree(path)

    with pytest.raises(SourceError, match=r"is kept: put .* the command again"):
        list(source.read("train", range(4)))


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_storage_that_fails_ends_the_build(picture_folder, monkeypatch, code):
    """Such an error is no picture's fault: what is finished is kept."""
    source = FolderSource(picture_folder)
    monkeypatch.setattr(os, "stat", raise_error(code))

    with pytest.raises(SourceError, match="mend its storage"):
        list(source.read("train", [0]))


@pytest.mark.parametrize(
    "code", [errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG]
)
def test_a_file_that_cannot_be_read_is_one_problem(
    picture_folder, monkeypatch, code
):
    """Other pictures are read all the same."""
    source = FolderSource(picture_folder)
    monkeypatch.setattr(os, "stat", raise_error(code))

    (picture,) = source.read("train", [0])

    assert picture.encoded == b""
    assert picture.problem == f"it cannot be read: {os.strerror(code)}"


def raise_error(code):
    """Returns what fails as the system would."""

    def fail(path, **_):
        raise OSError(code, os.strerror(code), str(path))

    return fail


def test_stamps_are_those_of_the_files(picture_folder):
    """Size and both times tell whether a picture is still the same."""
    source = FolderSource(picture_folder)
    cat = picture_folder / "train" / "cat"
    file = (cat / "00.jpg").stat()
    (cat / "01.png").unlink()

    stamps = source.stamps("train")

    assert (stamps.shape, stamps.dtype) == ((30, 3), np.int64)
    assert stamps[0].tolist() == [
        *(file.st_size, file.st_mtime_ns, file.st_ctime_ns)
    ]
    assert stamps[1].tolist() == [-1, -1, -1]


def test_a_changed_picture_has_another_stamp(picture_folder):
    """Even where size and modification time were set back."""
    source = FolderSource(picture_folder)
    path = picture_folder / "train" / "cat" / "00.jpg"
    file, before = path.stat(), source.stamps("train")

    path.write_bytes(bytes(file.st_size))
    os.utime(path, ns=(file.st_atime_ns, file.st_mtime_ns))

    after = source.stamps("train")
    assert (before[0] == after[0]).tolist() == [True, True, False]
    np.testing.assert_array_equal(before[1:], after[1:])


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
        path.write_text("no picture")
        path.rename(path.with_suffix(".txt"))

    with pytest.raises(SourceError, match="Convert them"):
        FolderSource(picture_folder)


@pytest.mark.parametrize("name", [".DS_Store", "._1.jpg", "Thumbs.db"])
def test_a_folder_of_what_systems_leave_is_no_class(picture_folder, name):
    """An archive unpacked on another system brings no class."""
    touch(picture_folder / "train" / "__MACOSX", f"cat/{name}")

    source = FolderSource(picture_folder)

    assert source.class_names == ("cat", "dog", "été")
    assert source.ignored == ()


def test_every_odd_picture_has_a_row_of_its_own(tmp_path):
    """Good, odd and damaged ones are listed, and read as they are."""
    odd = odd_pictures()
    by_id = {
        f"{class_name}/{p.name}{p.suffix}": p.encoded
        for class_name in ("a", "b")
        for p in odd
    }
    for image_id, encoded in by_id.items():
        path = tmp_path / image_id
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded)

    source = FolderSource(tmp_path)

    read = {
        image_id: picture
        for split, index in source.splits.items()
        for image_id, picture in zip(
            index.image_ids,
            source.read(split, range(len(index.image_ids))),
            strict=True,
        )
    }
    assert read == {i: Picture(encoded) for i, encoded in by_id.items()}
