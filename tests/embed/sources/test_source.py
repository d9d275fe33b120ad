"""Tests for `embed.sources.source` and `embed.sources`."""

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.errors import SourceError
from embed.sources import SourceRequest
from embed.sources import SplitIndex
from embed.sources import check_source
from embed.sources import open_source
from embed.sources.limited import LimitedSource
from embed.sources.source import Picture
from embed.sources.source import Source


class ListedSource(Source):
    """Ids by split; the picture of each is its own id."""

    def __init__(self, ids_by_split, class_names=("cat", "dog")):
        super().__init__(
            name="listed",
            version="1",
            class_names=class_names,
            splits={
                split: SplitIndex(
                    tuple(ids), np.arange(len(ids), dtype=np.int32) % 2
                )
                for split, ids in ids_by_split.items()
            },
        )

    def read(self, split, rows):
        """Yields the id of each row."""
        for row in rows:
            yield Picture(self.splits[split].image_ids[row].encode())

    def stamps(self, split):
        """Returns each row's number, three times."""
        numbers = np.arange(len(self.splits[split].image_ids))
        return np.repeat(numbers[:, None], 3, axis=1)


def test_limit_keeps_ids_labels_and_pictures_together():
    """A limited source answers as the whole one does for its rows."""
    whole = ListedSource({"train": "abcdefgh", "test": "ijk"})
    labels = dict(
        zip("abcdefgh", whole.splits["train"].labels.tolist(), strict=True)
    )

    limited = LimitedSource(whole, 3)

    index = limited.splits["train"]
    assert len(index.image_ids) == 3
    assert [labels[i] for i in index.image_ids] == index.labels.tolist()
    pictures = list(limited.read("train", range(3)))
    assert pictures == [Picture(i.encode()) for i in index.image_ids]
    assert list(index.image_ids) == sorted(index.image_ids)
    assert limited.class_names == whole.class_names
    assert (limited.name, limited.version) == (whole.name, whole.version)


def test_limit_keeps_stamps_with_their_pictures():
    """Each row of a limited source has the stamp of its own picture."""
    whole = ListedSource({"train": "abcdefgh", "test": "ijk"})

    limited = LimitedSource(whole, 3)

    ids = [
        whole.splits["train"].image_ids[n]
        for n, _, _ in limited.stamps("train")
    ]
    assert ids == list(limited.splits["train"].image_ids)


def test_limit_passes_on_what_is_ignored(picture_folder):
    """Other files are told of, however few pictures are taken."""
    (picture_folder / "train" / "cat" / "notes.txt").write_text("cats")
    request = SourceRequest(dataset=f"folder:{picture_folder}", limit=2)

    assert open_source(request).ignored == ("train/cat/notes.txt",)


def test_limit_is_for_each_split():
    """A split that is smaller than the limit stays whole."""
    limited = LimitedSource(ListedSource({"train": "abcdef", "test": "ij"}), 4)

    assert len(limited.splits["train"].image_ids) == 4
    assert limited.splits["test"].image_ids == ("i", "j")


@given(st.sets(st.text(min_size=1), min_size=2, max_size=30), st.integers(1, 9))
def test_larger_limit_adds_to_a_smaller_one(ids, limit):
    """A larger sample holds the smaller one, in whatever order ids come."""
    forth = ListedSource({"train": sorted(ids), "test": "i"})
    back = ListedSource({"train": sorted(ids, reverse=True), "test": "i"})

    small = set(LimitedSource(forth, limit).splits["train"].image_ids)
    large = set(LimitedSource(back, limit + 1).splits["train"].image_ids)

    assert small <= large
    assert len(small) == min(limit, len(ids))


def test_pictures_with_one_id_are_refused():
    """Rows are known by their ids: twice the same would mix them up."""
    with pytest.raises(SourceError, match=r"has 2 images .* Rename them"):
        ListedSource({"train": "abaa", "test": "i"})


@pytest.mark.parametrize("class_names", [(), ("cat",)])
def test_single_class_is_refused(class_names):
    """There is nothing to tell apart."""
    with pytest.raises(SourceError, match="Add pictures of another class"):
        ListedSource({"train": "ab", "test": "i"}, class_names)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_id_that_is_no_text_is_refused(split):
    """Wherever it comes from, it has no hash; it is shown escaped."""
    ids = {"train": "ab", "test": "i"} | {split: ["a", "caf\udce9"]}

    with pytest.raises(SourceError, match=r"'caf\\udce9' is no UTF-8.*Rename"):
        ListedSource(ids)


def test_no_pictures_are_told_before_their_classes():
    """Where there is nothing, another class is no help."""
    with pytest.raises(SourceError, match="no images in its train split"):
        ListedSource({"train": "", "test": ""}, ())


@pytest.mark.parametrize(
    "splits",
    [{"train": "ab"}, {"test": "ab"}, {"train": "ab", "test": ""}],
    ids=["no-test", "no-train", "empty-test"],
)
def test_both_splits_are_needed(splits):
    """A head is trained on one and judged on the other."""
    with pytest.raises(SourceError, match="Add some and run the command"):
        ListedSource(splits)


def test_index_needs_one_label_an_id():
    """A label too few is refused before anything is read."""
    with pytest.raises(ValueError, match="1 labels, 2 ids"):
        SplitIndex(("a", "b"), np.zeros(1, np.int32))


@pytest.mark.parametrize(
    "dataset", ["", "pets", "http:x", "tfds:", "folder:", "hf:", "wds:"]
)
@pytest.mark.parametrize("function", [open_source, check_source])
def test_unknown_kind_of_dataset(dataset, function):
    """The message lists the kinds there are."""
    with pytest.raises(
        SourceError, match=r"`digits`, `folder:DIR`, .* or `wds:.*--dataset"
    ):
        function(SourceRequest(dataset=dataset))


@pytest.mark.parametrize(
    ("dataset", "option"),
    [
        ("digits", "label_from"),
        ("digits", "test_split"),
        ("tfds:oxford_iiit_pet", "labels"),
        ("hf:mnist", "labels"),
        ("wds:birds", "labels"),
    ],
)
def test_an_option_of_another_kind_is_refused(dataset, option):
    """No option is passed over in silence."""
    request = SourceRequest(dataset=dataset, **{option: "x"})

    with pytest.raises(SourceError, match="Leave it out, or give another"):
        check_source(request)


def test_one_split_twice_is_refused(picture_folder):
    """What a head was trained on says nothing about it."""
    request = SourceRequest(
        dataset=f"folder:{picture_folder}", test_split="train"
    )

    with pytest.raises(SourceError, match="Both train and test are 'train'"):
        check_source(request)


def test_requests_of_old_caches_still_open(picture_folder):
    """A provenance that was written before there were more options."""
    old = {"dataset": f"folder:{picture_folder}", "data_dir": None, "limit": 3}

    source = open_source(SourceRequest.model_validate(old))

    assert len(source.splits["train"].image_ids) == 3


def test_limit_of_a_request(picture_folder):
    """A request with a limit opens a limited source."""
    request = SourceRequest(dataset=f"folder:{picture_folder}", limit=5)

    source = open_source(request)

    counts = {name: len(i.labels) for name, i in source.splits.items()}
    assert counts == {"train": 5, "test": 5}


def test_limit_is_at_least_one():
    """A limit of 0 would leave nothing."""
    with pytest.raises(pydantic.ValidationError, match="greater than or equal"):
        SourceRequest(dataset="digits", limit=0)


def test_anchored_request_opens_from_any_folder(picture_folder, monkeypatch):
    """A cache remembers where its pictures lie, not where one stood."""
    monkeypatch.chdir(picture_folder.parent)
    request = SourceRequest(dataset="folder:pictures", data_dir="data")

    anchored = request.anchored()

    assert anchored.dataset == f"folder:{picture_folder}"
    assert anchored.data_dir == str(picture_folder.parent / "data")
    assert anchored.anchored() == anchored


def test_home_of_nobody(monkeypatch, tmp_path):
    """It is a folder that is not there, as any other."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    home = SourceRequest(dataset="folder:~/x").anchored()
    nobody = SourceRequest(dataset="folder:~no_such_user").anchored()

    assert home.dataset == f"folder:{tmp_path / 'x'}"
    assert nobody.dataset == f"folder:{tmp_path / '~no_such_user'}"


@pytest.mark.parametrize(
    "dataset", ["digits", "tfds:oxford_iiit_pet", "hf:user/birds", "hf:mnist"]
)
def test_other_requests_need_no_anchor(dataset):
    """A name is the same from everywhere."""
    request = SourceRequest(dataset=dataset)

    assert request.anchored() == request
