"""Tests for `embed.sources.hf`: what only these datasets have."""

import time

import numpy as np
import pytest

from embed.errors import SourceError
from embed.sources import SourceRequest
from embed.sources import check_source
from embed.sources import open_source

datasets = pytest.importorskip("datasets")
# A proxy that nobody serves: no test may reach the network, where there is one.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(name="save")
def _save(tmp_path):
    """Saves a dataset of two splits and returns the request for it."""

    def save(columns, features=None, *, folder="saved", **options):
        data = datasets.Dataset.from_dict(
            columns, features=features and datasets.Features(features)
        )
        path = tmp_path / folder
        datasets.DatasetDict(train=data, test=data).save_to_disk(path)
        return SourceRequest(dataset=f"hf:{path}", **options)

    return save


def images(*paths):
    """Returns images by name whose bytes are their names."""
    return [{"bytes": path.encode(), "path": path} for path in paths]


def test_several_labels_need_a_name(save):
    """`--label-from` chooses; the image is found by its type."""
    columns = {
        "img": images("1.jpg", "2.jpg"),
        "fine": [0, 1],
        "coarse": [1, 0],
    }
    label = datasets.ClassLabel(names=["a", "b"])
    features = {"img": datasets.Image(), "fine": label, "coarse": label}

    source = open_source(save(columns, features, label_from="coarse"))

    assert source.splits["train"].labels.tolist() == [1, 0]
    with pytest.raises(SourceError, match=r"'fine'\].*`--label-from`"):
        open_source(save(columns, features))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "large_string"])
def test_labels_may_be_of_any_width(save, dtype):
    """As other programs write them into a Parquet file."""
    values = ["7", "3"] if dtype == "large_string" else [7, 3]
    source = open_source(
        save(
            {"image": images("1.jpg", "2.jpg"), "label": values},
            {"image": datasets.Image(), "label": datasets.Value(dtype)},
        )
    )

    assert source.class_names == ("3", "7")
    assert source.splits["train"].labels.tolist() == [1, 0]


def test_labels_may_be_text_and_images_plain_bytes(save):
    """A Parquet file that knows nothing of Hugging Face's types."""
    source = open_source(
        save({"image": images("1.jpg", "2.jpg"), "label": ["dog", "cat"]})
    )

    assert source.class_names == ("cat", "dog")
    assert source.splits["test"].labels.tolist() == [1, 0]
    assert source.splits["test"].image_ids == ("1.jpg", "2.jpg")
    assert [p.encoded for p in source.read("test", [1])] == [b"2.jpg"]


def test_a_text_that_is_missing_is_no_class(save):
    """It is told, not taken for a class without a name."""
    request = save({"image": images("1", "2", "3"), "label": ["a", None, "b"]})

    with pytest.raises(SourceError, match="1 images of no class"):
        open_source(request)


def test_images_may_be_files(picture_folder, tmp_path):
    """They are read from where they lie; one that is gone is a problem."""
    request = SourceRequest(
        dataset=f"hf:{picture_folder}", data_dir=str(tmp_path / "data")
    )
    source = open_source(request)
    path = picture_folder / "test" / "cat" / "00.jpg"
    encoded = path.read_bytes()
    (picture_folder / "test" / "cat" / "01.png").unlink()

    first, second = source.read("test", [0, 1])

    assert source.class_names == ("cat", "dog", "été")
    assert (first.encoded, first.problem) == (encoded, "")
    assert second.problem == "it cannot be read: No such file or directory"


def test_files_that_are_all_gone_are_no_bad_pictures(picture_folder, tmp_path):
    """Storage that goes away ends the build, as of a folder."""
    source = open_source(
        SourceRequest(
            dataset=f"hf:{picture_folder}", data_dir=str(tmp_path / "data")
        )
    )
    picture_folder.rename(tmp_path / "away")

    with pytest.raises(SourceError, match="put the folder back"):
        list(source.read("test", [0, 1]))


def test_an_image_may_be_missing(save):
    """It is a problem of its row, and shifts no other."""
    image = datasets.Image()
    source = open_source(
        save(
            {"image": [None, *images("2")], "label": ["a", "b"]},
            {"image": image, "label": datasets.Value("string")},
        )
    )

    first, second = source.read("train", [0, 1])

    assert (first.encoded, first.problem) == (b"", "it is missing")
    assert (second.encoded, second.problem) == (b"2", "")


def test_stamps_are_those_of_the_files(save, tmp_path):
    """Every row has the size and the times of all files of its split."""
    source = open_source(save({"image": images("1", "2"), "label": ["a", "b"]}))
    (path,) = (tmp_path / "saved" / "train").glob("*.arrow")
    file = path.stat()

    stamps = source.stamps("train")

    expected = [file.st_size, file.st_mtime_ns, file.st_ctime_ns]
    assert stamps.dtype == np.int64
    assert stamps.tolist() == [expected] * 2


def test_files_that_rows_name_have_no_stamps(picture_folder, tmp_path):
    """They may change though no file of the dataset does: they are read."""
    source = open_source(
        SourceRequest(
            dataset=f"hf:{picture_folder}", data_dir=str(tmp_path / "data")
        )
    )

    assert source.stamps("train") is None
    assert source.splits["test"].image_ids[:2] == ("cat/00.jpg", "cat/01.png")


def test_ids_of_class_folders(save):
    """A picture that is added changes no id, though names are there twice."""
    paths = ["/x/y/cat/1.jpg", "/x/y/dog/1.jpg"]

    few = open_source(save({"image": images(*paths), "label": ["a", "b"]}))
    paths = ["/x/y/ant/1.jpg", *paths]
    more = open_source(
        save({"image": images(*paths), "label": ["a", "a", "b"]}, folder="more")
    )

    assert few.splits["train"].image_ids == ("cat/1.jpg", "dog/1.jpg")
    ids = more.splits["train"].image_ids
    assert ids == ("ant/1.jpg", "cat/1.jpg", "dog/1.jpg")


@pytest.mark.parametrize("function", [open_source, check_source])
@pytest.mark.parametrize("name", ["user/no_such_set", "no such set", "a/b/c"])
def test_unknown_dataset(monkeypatch, function, name):
    """A name that cannot be looked up ends in seconds, with the ways out."""
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    began = time.monotonic()

    with pytest.raises(SourceError, match=r"spelling and the network.*hf:DIR"):
        function(SourceRequest(dataset=f"hf:{name}"))

    assert time.monotonic() - began < 10


def test_what_is_no_dataset_is_refused(tmp_path):
    """In one line, whatever the library says."""
    (tmp_path / "notes.parquet").write_text("no Parquet")
    for name in ("notes.parquet", ""):
        request = SourceRequest(
            dataset=f"hf:{tmp_path / name}", data_dir=str(tmp_path / "data")
        )

        with pytest.raises(SourceError, match="cannot be had") as caught:
            open_source(request)

        assert "\n" not in str(caught.value)
