"""Tests for `embed.sources.tfds`."""

import io
import shutil
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from embed.errors import SourceError
from embed.sources import SourceRequest
from embed.sources import check_source
from embed.sources import open_source
from embed.sources.tfds import TfdsSource

NUM_IMAGES = {"train": 12, "test": 5}
CLASS_NAMES = ["cat", "dog"]
# A proxy that nobody serves: no test may reach the network, where there is one.
NOWHERE = "http://127.0.0.1:9"


# Not registered, so that TFDS reads it back from its files alone.
class TinyPets(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Drawn pictures, with masks that no decoder could read."""

    VERSION = tfds.core.Version("1.2.3")
    name = "tiny_pets"
    pkg_dir_path = None

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(),
                    "label": tfds.features.ClassLabel(names=CLASS_NAMES),
                    "file_name": tfds.features.Text(),
                    "segmentation_mask": tfds.features.Image(
                        shape=(None, None, 1)
                    ),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {s: self._generate_examples(s) for s in NUM_IMAGES}

    def _generate_examples(self, split):
        for number in range(NUM_IMAGES[split]):
            name = file_name(split, number)
            yield (
                name,
                {
                    "image": io.BytesIO(encoded_picture(split, number)),
                    "label": number % 2,
                    "file_name": name,
                    "segmentation_mask": io.BytesIO(b"no picture"),
                },
            )


def file_name(split, number):
    """Returns the id of a picture."""
    return f"{split}_{number:02}.jpg"


def encoded_picture(split, number):
    """Returns a JPEG that is no other picture's."""
    pixels = np.full((9, 7, 3), 10 * number + len(split), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(name="data_dir", scope="module")
def _data_dir(tmp_path_factory):
    """Where the tiny set was prepared, without a network."""
    data_dir = tmp_path_factory.mktemp("tfds")
    TinyPets(data_dir=data_dir).download_and_prepare()
    return data_dir


@pytest.fixture(name="source")
def _source(data_dir):
    return TfdsSource("tiny_pets", str(data_dir))


def numbers_of(source, split):
    """Returns which picture each row is."""
    ids = source.splits[split].image_ids
    return [int(image_id[-6:-4]) for image_id in ids]


def test_ids_are_file_names(source):
    """Every picture is there, by its file name."""
    for split, count in NUM_IMAGES.items():
        assert sorted(source.splits[split].image_ids) == [
            file_name(split, number) for number in range(count)
        ]


def test_labels_belong_to_their_ids(source):
    """Even numbers are cats, in whatever order TFDS wrote them."""
    for split in NUM_IMAGES:
        expected = np.array(numbers_of(source, split)) % 2
        np.testing.assert_array_equal(source.splits[split].labels, expected)
    assert source.class_names == ("cat", "dog")


def test_name_and_version_identify_the_data(source):
    """TFDS re-encodes pictures between versions: both are in the spec."""
    assert source.name == "tfds:tiny_pets"
    assert source.version == "1.2.3"


@pytest.mark.parametrize("split", NUM_IMAGES)
def test_pictures_are_the_bytes_that_were_written(source, split):
    """Nothing is decoded on the way: neither the images nor the masks."""
    numbers = numbers_of(source, split)

    pictures = list(source.read(split, range(len(numbers))))

    assert [p.encoded for p in pictures] == [
        encoded_picture(split, number) for number in numbers
    ]


@pytest.mark.parametrize("rows", [[0], [11], [3, 4], [1, 5, 10], []])
def test_scattered_rows(source, rows):
    """Any ascending rows are read, and no others."""
    numbers = numbers_of(source, "train")

    pictures = list(source.read("train", rows))

    assert [p.encoded for p in pictures] == [
        encoded_picture("train", numbers[row]) for row in rows
    ]


def test_order_is_the_same_every_time(source, data_dir):
    """Rows keep their order for ever."""
    again = TfdsSource("tiny_pets", str(data_dir))

    for split, index in source.splits.items():
        assert again.splits[split].image_ids == index.image_ids


def test_limit(data_dir):
    """A limited source reads the pictures of its own rows."""
    source = open_source(
        SourceRequest(dataset="tfds:tiny_pets", data_dir=str(data_dir), limit=3)
    )

    pictures = list(source.read("train", range(3)))

    assert [p.encoded for p in pictures] == [
        encoded_picture("train", number)
        for number in numbers_of(source, "train")
    ]


def test_stamps_are_those_of_the_files(source, data_dir):
    """Every row has the size and the times of all files of its split."""
    (path,) = data_dir.rglob("*-test.tfrecord*")
    file = path.stat()

    stamps = source.stamps("test")

    assert stamps.dtype == np.int64
    expected = [file.st_size, file.st_mtime_ns, file.st_ctime_ns]
    assert stamps.tolist() == [expected] * NUM_IMAGES["test"]


@pytest.mark.parametrize("rows", [[0], [4, 5], [3, 6, 7], range(9)])
def test_parts_of_splits(source, data_dir, rows):
    """`--train-split` and `--test-split` take what `tfds.load` takes."""
    whole = numbers_of(source, "train")
    parts = TfdsSource(
        "tiny_pets",
        str(data_dir),
        split_names={"train": "train[:5]+test[1:]", "test": "train[50%:]"},
    )

    train = [*whole[:5], *numbers_of(source, "test")[1:]]
    assert numbers_of(parts, "train") == train
    assert numbers_of(parts, "test") == whole[6:]
    expected = [
        encoded_picture("train" if row < 5 else "test", train[row])
        for row in rows
    ]
    assert [p.encoded for p in parts.read("train", rows)] == expected
    assert (parts.stamps("train") != source.stamps("train")[0]).any()


@pytest.mark.parametrize("function", [open_source, check_source])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"train_split": "train[:80%", "test_split": "test"}, r"train\[:80%\]"),
        (
            {"test_split": "validation"},
            "no split 'validation'.*'test', 'train'",
        ),
        ({"test_split": "train[50%:]"}, "'train' in common"),
        ({"label_from": "file_name"}, r"no ClassLabel .*\['label'\]"),
    ],
)
def test_options_are_checked_before_anything_is_read(
    data_dir, function, options, match
):
    """A misspelt split or feature is told with those that there are."""
    request = SourceRequest(
        dataset="tfds:tiny_pets", data_dir=str(data_dir), **options
    )

    with pytest.raises(SourceError, match=match):
        function(request)


@pytest.fixture(name="copied")
def _copied(data_dir, tmp_path):
    """A source of its own, and the file of its test split."""
    shutil.copytree(data_dir, tmp_path / "tfds")
    source = TfdsSource("tiny_pets", str(tmp_path / "tfds"))
    (path,) = (tmp_path / "tfds").rglob("*-test.tfrecord*")
    return source, path


def test_no_stamps_of_files_that_are_gone(copied):
    """Then reading says what is wrong."""
    source, path = copied
    path.unlink()

    assert source.stamps("test") is None
    with pytest.raises(SourceError, match="run the command again"):
        list(source.read("test", [0]))


@pytest.mark.parametrize("percent", [0, 40, 90])
def test_a_file_that_was_cut_is_no_shift_of_rows(copied, percent):
    """It is an error, not a split of fewer pictures."""
    source, path = copied
    path.write_bytes(path.read_bytes()[: path.stat().st_size * percent // 100])

    with pytest.raises(SourceError, match="run the command again"):
        list(source.read("test", range(NUM_IMAGES["test"])))


def test_version_may_be_named(data_dir):
    """`tfds:NAME:VERSION` is the same source."""
    source = TfdsSource("tiny_pets:1.2.3", str(data_dir))

    assert (source.name, source.version) == ("tfds:tiny_pets", "1.2.3")


@pytest.mark.parametrize("function", [open_source, check_source])
@pytest.mark.parametrize(
    "name", ["no_such_set", "no such set", "a:b:c", "../x", "mnist:9.9.9"]
)
def test_unknown_dataset(tmp_path, monkeypatch, function, name):
    """A misspelt name ends in seconds, with the ways out."""
    monkeypatch.setenv("https_proxy", NOWHERE)
    began = time.monotonic()

    with pytest.raises(
        SourceError, match=r"`--data-dir DIR`.*`--preset digits`"
    ):
        function(SourceRequest(dataset=f"tfds:{name}", data_dir=str(tmp_path)))

    assert time.monotonic() - began < 10


def test_no_network(tmp_path, monkeypatch):
    """A set that would have to be fetched is refused in seconds."""
    monkeypatch.setenv("https_proxy", NOWHERE)
    began = time.monotonic()

    with pytest.raises(
        SourceError, match=r"no network .*`--data-dir DIR`.*`--preset digits`"
    ):
        TfdsSource("mnist", str(tmp_path))

    assert time.monotonic() - began < 10
    assert not list(tmp_path.iterdir())


@pytest.mark.real
def test_real_pictures(pets_dir):
    """The pets beside the checkout: 37 breeds, 80 pictures each or so."""
    source = TfdsSource("oxford_iiit_pet", str(pets_dir))

    counts = {name: len(i.labels) for name, i in source.splits.items()}
    assert counts == {"train": 2960, "test": 720}
    assert len(source.class_names) == 37
    assert (source.name, source.version) == ("tfds:oxford_iiit_pet", "4.0.0")
    for split, index in source.splits.items():
        breeds = {
            (image_id.rpartition("_")[0].lower(), label)
            for image_id, label in zip(
                index.image_ids, index.labels.tolist(), strict=True
            )
        }
        assert len(breeds) == 37
        (picture,) = source.read(split, [700])
        assert Image.open(io.BytesIO(picture.encoded)).format == "JPEG"


@pytest.mark.real
def test_real_pictures_by_another_label_and_other_splits(pets_dir):
    """Cats and dogs, on parts of the train split."""
    source = open_source(
        SourceRequest(
            dataset="tfds:oxford_iiit_pet",
            data_dir=str(pets_dir),
            label_from="species",
            train_split="train[:80%]",
            test_split="train[80%:]",
        )
    )

    counts = {name: len(i.labels) for name, i in source.splits.items()}
    assert counts == {"train": 2368, "test": 592}
    assert len(source.class_names) == 2
