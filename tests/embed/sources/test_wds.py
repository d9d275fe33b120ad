"""Tests for `embed.sources.wds` and its `shard_names` and `shards`."""

import gzip
import tarfile

import pytest

from embed.errors import SourceError
from embed.sources.shard_names import find_shards
from embed.sources.shard_names import split_shards
from embed.sources.wds import WdsSource
from tests.picture_forms import add_member

USUAL = {"train": "train", "test": "test"}


@pytest.fixture(name="write")
def _write(tmp_path):
    """Writes a shard from pairs of a member's name and its content."""

    def write(name, *members):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as tar:
            for member, content in members:
                add_member(tar, member, content)
        return path

    return write


def samples(*labels):
    """Returns members `NUMBER.jpg` and `NUMBER.cls`; pictures are texts."""
    return [
        member
        for number, label in enumerate(labels)
        for member in (
            (f"{number}.jpg", f"picture {number}".encode()),
            (f"{number}.cls", label.encode()),
        )
    ]


@pytest.fixture(name="shards")
def _shards(write, tmp_path):
    """Two shards to train on and one to test on, of 3 samples each."""
    for name in ("train-00.tar", "train-01.tar", "test-00.tar"):
        write(name, *samples("cat", "dog", "cat\n"))
    return tmp_path


def test_ids_say_shard_and_key(shards):
    """Keys may be the same in each shard."""
    source = WdsSource(str(shards))

    assert source.splits["train"].image_ids == (
        *("train-00/0", "train-00/1", "train-00/2"),
        *("train-01/0", "train-01/1", "train-01/2"),
    )
    assert source.splits["test"].labels.tolist() == [0, 1, 0]
    assert source.class_names == ("cat", "dog")


@pytest.mark.parametrize("rows", [[0], [5], [1, 4], [0, 2, 3, 5], []])
def test_scattered_rows(shards, rows):
    """Any ascending rows are read, out of whichever shard."""
    source = WdsSource(str(shards))

    pictures = list(source.read("train", rows))

    expected = [f"picture {row % 3}".encode() for row in rows]
    assert [picture.encoded for picture in pictures] == expected


def test_stamps_are_those_of_the_shards(shards):
    """A shard that is written anew has its pictures read again, no other."""
    source = WdsSource(str(shards))
    before = source.stamps("train")
    file = (shards / "train-00.tar").stat()
    with tarfile.open(shards / "train-01.tar", "a") as tar:
        add_member(tar, "9.txt", b"more")

    after = source.stamps("train")

    expected = [file.st_size, file.st_mtime_ns, file.st_ctime_ns]
    assert before[:3].tolist() == [expected] * 3
    assert (before == after).all(axis=1).tolist() == [True] * 3 + [False] * 3


def test_a_shard_that_changed_is_no_other_picture(shards):
    """Its places are those of the shard that was indexed."""
    source = WdsSource(str(shards))
    with tarfile.open(shards / "train-01.tar", "a") as tar:
        add_member(tar, "9.txt", b"more")

    assert len(list(source.read("train", [0, 1]))) == 2
    with pytest.raises(SourceError, match=r"changed .* run the command again"):
        list(source.read("train", [2, 3]))


def test_a_shard_that_is_gone_ends_the_build(shards):
    """What is finished is kept."""
    source = WdsSource(str(shards))
    (shards / "test-00.tar").unlink()

    with pytest.raises(SourceError, match="put it back, and run the command"):
        list(source.read("test", [0]))


def test_labels_in_json(write, tmp_path):
    """Under `label`, or under the key that is named; `.cls` goes first."""
    for name in ("train-0.tar", "test-0.tar"):
        write(
            name,
            ("a/1.x.png", b"no key ends in a dot"),
            ("a/2.jpg", b"2"),
            ("a/2.json", b'{"label": 7, "breed": "pug"}'),
            ("a/2.cls", b"dog"),
            ("a/3.jpg", b"3"),
            ("a/3.json", b'{"label": 8, "breed": "tabby"}'),
        )

    usual = WdsSource(str(tmp_path))
    named = WdsSource(str(tmp_path), label_key="breed")

    assert usual.class_names == ("8", "dog")
    assert named.class_names == ("pug", "tabby")
    assert usual.splits["test"].image_ids == ("test-0/a/2", "test-0/a/3")
    assert usual.ignored == ("test-0/a/1.x.png", "train-0/a/1.x.png")


def test_without_a_test_shard_the_hash_decides(write, tmp_path):
    """One sample in five, wherever it lies."""
    labels = ["cat", "dog"] * 50
    write("train-0.tar", *samples(*labels))

    source = WdsSource(str(tmp_path / "train-{0..0}.tar"))

    counts = {s: len(i.labels) for s, i in source.splits.items()}
    assert sum(counts.values()) == 100
    assert 10 < counts["test"] < 35
    for split, index in source.splits.items():
        pictures = source.read(split, range(len(index.image_ids)))
        assert [p.encoded.decode() for p in pictures] == [
            f"picture {image_id.rpartition('/')[2]}"
            for image_id in index.image_ids
        ]


def test_patterns(write, tmp_path):
    """Ranges keep their zeros; lists, stars and folders go together."""
    names = ["a-08.tar", "a-09.tar", "a-10.tar", "b/c-1.tar"]
    for name in names:
        write(name)

    def find(pattern):
        found = find_shards(str(tmp_path / pattern))
        return [path.relative_to(tmp_path).as_posix() for path in found]

    assert find("a-{08..10}.tar") == names[:3]
    assert find("a-{08,10}.tar") == ["a-08.tar", "a-10.tar"]
    assert find("{a-*,b/c-{1..1}}.tar") == names
    assert find("**/*.tar") == names
    assert find("") == names
    with pytest.raises(SourceError, match=r"no shard .*a-11\.tar"):
        find("a-{08..12}.tar")


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("a-{010..008}.tar", r"no shard .*a-\{010\.\.008\}\.tar.*`wds:DIR`"),
        ("{00000..99999}-{00..99}.tar", "more than 1,000,000 .* Mend it"),
        ("{0..10000000000}.tar", "more than 1,000,000 .* Mend it"),
    ],
)
def test_a_slip_in_a_range_is_told(write, tmp_path, pattern, match):
    """It neither hangs nor matches nothing in silence."""
    write("a-009.tar")

    with pytest.raises(SourceError, match=match):
        find_shards(str(tmp_path / pattern))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x-train-1", "x_test_1"], ["train", "test"]),
        (["train/1", "TEST/1"], ["train", "test"]),
        (["train-1", "train-2"], None),
        (["00", "01"], None),
        (["trainer-1", "contest-1"], None),
    ],
)
def test_words_of_names_say_the_split(names, expected):
    """Where no name says test, pictures are divided."""
    assert split_shards("*", names, USUAL) == expected


@pytest.mark.parametrize(
    "names",
    [
        ["train-1", "val-1"],
        ["train-1", "test-1", "3"],
        ["val-1"],
        ["train-1", "eval-1"],
        ["train-1", "testing-1"],
        ["train-1", "dev-1"],
    ],
)
def test_unclear_splits_are_refused(names):
    """No shard is taken for what it is not, or left out."""
    with pytest.raises(SourceError, match="`--train-split` and `--test-split`"):
        split_shards("*", names, USUAL)


def test_splits_may_have_other_names():
    """`--test-split val` takes the validation shards."""
    splits = split_shards(
        "*", ["train-1", "val-1"], {"train": "train", "test": "val"}
    )

    assert splits == ["train", "test"]


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train2017", "val2017"),
        ("train_full", "test_full"),
        ("fold-1", "fold-10"),
        ("train", "train-b"),
    ],
)
def test_splits_may_be_called_anything(train, test):
    """With digits, or in several words; the longer name is the right one."""
    names = [f"{train}-000", f"{train}-001", f"x.{test.upper()}.7"]

    splits = split_shards("*", names, {"train": train, "test": test})

    assert splits == ["train", "train", "test"]


@pytest.mark.parametrize("name", ["train.tar", "all.tar"])
def test_a_member_whose_name_is_no_utf_8(write, tmp_path, name):
    """Its picture is refused by name; one that is ignored can be printed."""
    write("test.tar" if name == "train.tar" else "more.tar", *samples("a", "b"))
    write(name, ("caf\udce9.jpg", b"1"), ("caf\udce9.cls", b"a"))

    with pytest.raises(SourceError, match=r"caf\\udce9' is no UTF-8.*Rename"):
        WdsSource(str(tmp_path))

    write(name, *samples("a", "b", *"ab" * 20), ("caf\udce9.txt", b"a"))
    source = WdsSource(str(tmp_path))

    assert source.ignored == (f"{name[:-4]}/caf\\udce9.txt",)


def test_no_pictures_at_all(write, tmp_path):
    """They are missed, and not their classes."""
    write("all.tar", ("1.txt", b"a"))

    with pytest.raises(SourceError, match=r"no images.*Add some"):
        WdsSource(str(tmp_path))


def test_a_compressed_shard_is_refused(shards):
    """Nothing in it could be read in place."""
    path = shards / "test-00.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))

    with pytest.raises(SourceError, match="a whole tar file that is not compr"):
        WdsSource(str(shards))


@pytest.mark.parametrize("num_bytes", [0, 700, 1100, 2048, 2100])
def test_a_cut_shard_is_refused(shards, num_bytes):
    """Its samples do not vanish without a word."""
    path = shards / "test-00.tar"
    path.write_bytes(path.read_bytes()[:num_bytes])

    with pytest.raises(SourceError, match=r"Expected: a whole tar file"):
        WdsSource(str(shards))


def test_joined_shards_are_refused(shards):
    """What `cat a.tar b.tar` leaves ends where the first one does."""
    path = shards / "test-00.tar"
    path.write_bytes(path.read_bytes() * 2)

    with pytest.raises(SourceError, match=r"something follows its end.*again"):
        WdsSource(str(shards))


def test_zeros_may_follow_the_end(shards):
    """Tar pads its files, to whatever size."""
    path = shards / "test-00.tar"
    path.write_bytes(path.read_bytes() + bytes(3 * 2**20))

    assert len(WdsSource(str(shards)).splits["test"].labels) == 3


def test_links_and_lone_labels_are_told(write, shards):
    """What is no picture in place is ignored, but not in silence."""
    path = write("train-02.tar", *samples("cat"), ("7.cls", b"dog"))
    with tarfile.open(path, "a") as tar:
        for name, kind in (("8.jpg", tarfile.LNKTYPE), ("9", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "0.jpg"
            tar.addfile(member)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)

    source = WdsSource(str(shards))

    assert len(source.splits["train"].labels) == 7
    assert source.ignored == tuple(
        f"train-02/{n}" for n in ("7.cls", "8.jpg", "9")
    )


def test_a_folder_is_walked_as_one_of_pictures_is(write, tmp_path):
    """Links to folders are followed; hidden ones are left alone."""
    write("data/.old/train-0.tar")
    write("data/train-1.tar")
    write("elsewhere/train-2.tar")
    folder = tmp_path / "data"
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    (folder / "x.tar").mkdir()

    found = find_shards(str(folder))

    assert found == [folder / "more/train-2.tar", folder / "train-1.tar"]
