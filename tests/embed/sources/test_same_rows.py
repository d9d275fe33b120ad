"""The same pictures give the same rows, whatever form they come in."""

import dataclasses
import tarfile

import pytest

from embed.errors import SourceError
from embed.extract import build_cache
from embed.origin import read_pictures
from embed.sources import open_source
from tests.conftest import CLASS_NAMES
from tests.picture_forms import FORMS
from tests.picture_forms import NEEDS
from tests.picture_forms import add_member
from tests.picture_forms import draw_pictures
from tests.picture_forms import write_csv_list
from tests.picture_forms import write_shards


@pytest.fixture(name="pictures", scope="module")
def _pictures():
    return draw_pictures()


@pytest.fixture(name="lay_out")
def _lay_out(tmp_path):
    """Writes pictures in a form and returns the request for them."""

    def lay_out(form, pictures):
        if form in NEEDS:
            pytest.importorskip(NEEDS[form])
        return FORMS[form](pictures, tmp_path / "laid out")

    return lay_out


@pytest.fixture(name="rows_of_folders", scope="module")
def _rows_of_folders(pictures, tiny_module_dir, tmp_path_factory):
    """What a cache of class folders holds."""
    folder = tmp_path_factory.mktemp("folders")
    source = FORMS["class folders"](pictures, folder / "pictures")
    return rows_of(build(source, tiny_module_dir, folder / "artifacts").cache)


def build(source, module_dir, artifacts_dir, **fields):
    """Builds a cache with the tiny backbone."""
    from embed.backbones import BackboneRequest
    from embed.building.request import BuildRequest

    request = BuildRequest(
        source=source,
        backbone=BackboneRequest(handle=f"hub:{module_dir}", image_size=(8, 8)),
        engine="tensorflow",
        **fields,
    )
    return build_cache(request, artifacts_dir=artifacts_dir)


def rows_of(cache):
    """Returns class name and features by split and content of the picture."""
    from embed.splits import Selection

    return {
        (split, digest.tobytes()): (
            cache.spec.class_names[label],
            features.tobytes(),
        )
        for split in cache.num_images
        for digest, label, features in zip(
            cache.content_digests(split),
            cache.labels(split),
            cache.take(Selection(split)).features,
            strict=True,
        )
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(
    form, pictures, lay_out, tiny_module_dir, tmp_path, rows_of_folders
):
    """Features are the same bit by bit, and so are labels and class names.

    The cache reads its pictures back, and is found by a second build, which
    decodes nothing.
    """
    source = lay_out(form, pictures)

    cache = build(source, tiny_module_dir, tmp_path / "artifacts").cache

    assert cache.spec.class_names == CLASS_NAMES
    assert rows_of(cache) == rows_of_folders
    ids = cache.image_ids("test")[::7]
    by_digest = {p.encoded for p in pictures if p.split == "test"}
    assert set(read_pictures(cache, "test", ids)) <= by_digest
    again = build(source, tiny_module_dir, tmp_path / "artifacts")
    assert (again.cache.path, again.num_decoded) == (cache.path, 0)


@pytest.mark.parametrize("form", FORMS)
def test_place_and_limit(form, pictures, lay_out, tmp_path, monkeypatch):
    """Where a source lies is not in its name; part of it is a fair sample."""
    source = lay_out(form, pictures)
    monkeypatch.chdir(tmp_path)
    relative = source.model_copy(
        update={
            "dataset": source.dataset.replace(f"{tmp_path}/", ""),
            "labels": source.labels
            and source.labels.replace(f"{tmp_path}/", ""),
        }
    )

    whole = open_source(relative.anchored())
    part = open_source(source.model_copy(update={"limit": 20}))

    assert relative.anchored() == source.anchored()
    assert str(tmp_path) not in whole.name
    assert part.name == whole.name
    for split, count in {"train": 240, "test": 60}.items():
        assert len(whole.splits[split].image_ids) == count
        picked = set(part.splits[split].image_ids)
        assert len(picked) == 20
        assert picked < set(whole.splits[split].image_ids)


@pytest.mark.parametrize("form", FORMS)
def test_a_class_that_train_lacks_is_refused(form, pictures, lay_out):
    """No head could learn it, and none could be judged on it."""
    some = [p for p in pictures if (p.split, p.label) != ("train", "dog")]

    assert_refused(lay_out(form, some), "no pictures of 1 class .*'dog'")


@pytest.mark.parametrize(
    "form", [form for form in FORMS if "shards" not in form]
)
def test_a_split_that_is_not_there_is_refused(form, pictures, lay_out):
    """What there is, and how to name another, is said."""
    train = [picture for picture in pictures if picture.split == "train"]

    assert_refused(
        lay_out(form, train), "(--test-split|--train-split|Add some)"
    )


@pytest.mark.parametrize(
    ("form", "match"),
    {
        "csv list": r"has no label in line 4\b.*Mend the list",
        "parquet list": r"has no label in row 3\b.*Mend the list",
        "tfds": "1 images of no class, the first labelled -1.*Mend the labels",
        "hf folder": "1 images of no class, the first labelled -1.*Mend",
        "hf saved": "1 images of no class, the first labelled -1.*Mend",
        "shards": "'0002' of the shard .* has no label.*a .cls member",
        "json shards": "'0002' of the shard .* has no label.*--label-from KEY",
    }.items(),
)
def test_a_picture_without_a_label_is_refused(form, match, pictures, lay_out):
    """It is named, or counted."""
    bad = [*pictures[:2], dataclasses.replace(pictures[2], label="")]

    assert_refused(lay_out(form, [*bad, *pictures[3:]]), match)


def test_a_name_without_a_class_is_refused(pictures, lay_out):
    """A number alone says nothing."""
    bad = dataclasses.replace(pictures[0], name="12.jpg")

    assert_refused(
        lay_out("named files", [bad, *pictures[1:]]),
        r"'12.jpg' does not say its class.*`--labels FILE`",
    )


@pytest.mark.parametrize("form", ["tfds", "hf folder", "hf file", "hf saved"])
def test_equal_file_names_are_told_apart(form, pictures, lay_out):
    """Where a library numbers its examples, that is their id."""
    same = [dataclasses.replace(p, name="same.jpg") for p in pictures]

    source = open_source(lay_out(form, same))

    assert len(set(source.splits["train"].image_ids)) == 240


def test_a_picture_listed_twice_is_refused(pictures, tmp_path):
    """In whatever spelling, and whatever its two labels are."""
    source = write_csv_list(pictures, tmp_path / "pictures")
    with open(source.labels, "a", encoding="utf-8") as file:
        file.write(f"./train-{pictures[0].name},dog,train\n")

    assert_refused(source, r"twice, the second time in line 302\b")


def test_a_key_with_two_pictures_is_refused(pictures, tmp_path):
    """Which of the two is meant, nobody knows."""
    source = write_shards(pictures, tmp_path / "shards")
    with tarfile.open(tmp_path / "shards" / "test-000.tar", "a") as tar:
        add_member(tar, "0003.webp", b"another")

    assert_refused(source, "'0003' of the shard .* has two pictures")


def test_a_listed_picture_that_is_gone_is_refused(pictures, tmp_path):
    """Before any other is read."""
    source = write_csv_list(pictures, tmp_path / "pictures")
    (tmp_path / "pictures" / f"test-{pictures[-1].name}").unlink()

    assert_refused(source, "names 1 of 300 pictures that are not below")


def test_a_shard_that_is_gone_is_refused(pictures, tmp_path):
    """A range names each of its shards."""
    write_shards(pictures, tmp_path / "shards")
    (tmp_path / "shards" / "train-002.tar").unlink()

    source = f"wds:{tmp_path}/shards/{{train-{{000..004}},test-*}}.tar"

    assert_refused(source, r"no shard .*train-002\.tar.*in quotes")


@pytest.mark.parametrize(
    ("dataset", "match"),
    [
        ("folder:none", "There is no folder .*--dataset folder:DIR"),
        ("wds:none", r"There is no shard .*wds:DIR"),
        ("wds:none/*.tar", r"There is no shard .*wds:DIR"),
        ("hf:./none", r"no Hugging Face dataset at .*hf:DIR"),
        ("hf:none.parquet", r"no Hugging Face dataset at .*hf:DIR"),
    ],
)
def test_a_source_that_is_not_there_is_refused(dataset, match):
    """A misspelling is told before anything is loaded."""
    if dataset.startswith("hf:"):
        pytest.importorskip("datasets")

    assert_refused(dataset, match)


def assert_refused(source, match):
    """Requires one line that says so, when the source is opened."""
    from embed.sources import SourceRequest

    if isinstance(source, str):
        source = SourceRequest(dataset=source)
    with pytest.raises(SourceError, match=match) as caught:
        open_source(source.anchored())
    assert "\n" not in str(caught.value)
