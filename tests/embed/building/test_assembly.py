"""Tests for `embed.building.assembly`."""

import numpy as np
import pytest

from embed.building.assembly import Assembly
from embed.building.blocks import Block
from embed.building.blocks import write_block
from embed.building.current import CurrentPictures
from embed.building.folder import begin_blocks
from embed.building.lock import lock_build
from embed.building.parents import BlocksParent
from embed.building.plan import make_plan
from embed.building.result import BadImage
from embed.building.stamps import read_stamps
from embed.cache import open_cache
from embed.console import Console
from embed.errors import BadImagesError
from embed.errors import CorruptCacheError
from embed.images import digest_content
from embed.spec import SplitSpec
from embed.splits import Selection
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import create_spec
from tests.drawn_caches import files_in
from tests.letters import BOTH
from tests.letters import IDS
from tests.letters import LABELS
from tests.letters import OLD
from tests.letters import FakeParent
from tests.letters import LetterSource

QUIET = Console(is_quiet=True)


def spec_of_letters(views=BOTH, **changes):
    """Returns what a cache of the letters, in both splits, is of."""
    count = SplitSpec(num_images=len(IDS), digest="")
    splits = {"train": count, "test": count}
    return create_spec(views=views, splits=splits, **changes)


def assemble(*parents, bad=(), accepts_errors=False, views=BOTH):
    """Plans the five letters, in both splits, and assembles what is known.

    Takes who knows them, and the training rows that turned out to be bad.
    """
    source = LetterSource()
    pictures = CurrentPictures(source, QUIET)
    spec = spec_of_letters(views)
    plan = make_plan(spec, pictures, parents, accepts_errors=accepts_errors)
    return Assembly(
        plan=plan,
        spec=spec,
        source=source,
        pictures=pictures,
        bad={
            ("train", row): BadImage(row, digest_content(b"x"), "a text file")
            for row in bad
        },
    )


def write_blocks(build_dir, image_ids, views=BOTH, *, number=0, **changes):
    """Writes a block of both splits, of some letters, and what it is of."""
    begin_blocks(build_dir, build_dir, spec_of_letters(views, **changes))
    for split in ("train", "test"):
        count = len(image_ids)
        digests = b"".join(digest_content(i.encode()) for i in image_ids)
        block = Block(
            image_ids=np.array([i.encode() for i in image_ids]),
            features=np.zeros((count, len(views), 1), np.float32),
            content_digests=np.frombuffer(digests, np.uint8).reshape(-1, 32),
            is_oriented=np.zeros(count, bool),
            stamps=np.full((count, 3), -1),
        )
        write_block(block, build_dir / split / f"{number:08}.npz")
    return BlocksParent(build_dir, views)


def test_rows_of_all_parents_are_written_in_order(tmp_path):
    """Ids, labels, features, contents and stamps of a row stay together."""
    path = tmp_path / "cache.h5"
    parents = (FakeParent(1, tuple("db"), BOTH), FakeParent(2, IDS, BOTH))

    cache = assemble(*parents).write(path, PROVENANCE, 1)

    rows, index = cache.take(Selection("train")), cache.index("train")
    assert rows.image_ids == IDS
    np.testing.assert_array_equal(rows.labels, LABELS)
    assert rows.features[:, 0, 0].tolist() == [200, 110, 220, 100, 240]
    assert rows.features[:, 1, 0].tolist() == [201, 111, 221, 101, 241]
    digests = [digest.tobytes() for digest in index.content_digests]
    assert digests == [digest_content(i.encode()) for i in IDS]
    assert index.is_oriented.tolist() == [1, 0, 1, 0, 1]
    stamps = read_stamps(cache, "train")
    np.testing.assert_array_equal(stamps[3], [3, 3 + OLD, 3 + OLD])
    assert files_in(tmp_path) == ["cache.h5", "cache.h5.stamps"]


def test_bad_pictures_have_no_row(tmp_path):
    """The others move up; stamps and labels go with them."""
    known = FakeParent(1, tuple("acde"), BOTH)
    rest = FakeParent(2, tuple("b"), BOTH, contents={"b": "x"})
    test_b = FakeParent(3, tuple("b"), BOTH)

    assembly = assemble(known, rest, test_b, bad=[1])
    cache = assembly.write(tmp_path / "cache.h5", PROVENANCE, 1)

    rows = cache.take(Selection("train"))
    assert rows.image_ids == tuple("acde")
    assert rows.labels.tolist() == [0, 0, 1, 0]
    assert read_stamps(cache, "train")[:, 0].tolist() == [0, 2, 3, 4]
    assert cache.num_images == {"train": 4, "test": 5}
    assert open_cache(cache.path).spec.splits["train"].num_images == 5


def test_what_was_left_out_is_listed():
    """By split and row, with what it held: known before or found now."""
    parent = FakeParent(1, IDS, BOTH, bad=("d",))

    skipped = assemble(parent, bad=[1], accepts_errors=True).skipped

    found = [(one.split, one.image_id, one.reason) for one in skipped]
    assert found == [
        ("train", "b", "a text file"),
        ("train", "d", "bad d"),
        ("test", "d", "bad d"),
    ]
    assert skipped[0].content_digest == digest_content(b"x").hex()
    assert skipped[1].content_digest == digest_content(b"d").hex()


def test_orientations_are_counted_among_the_rows():
    """Of a, c and e in both splits; a picture without a row is none."""
    parent = FakeParent(1, IDS, BOTH)

    assert assemble(parent).num_oriented == 6
    assert assemble(parent, bad=[0, 1]).num_oriented == 5


@pytest.mark.parametrize(
    ("parent", "num_lost"),
    [
        (FakeParent(1, tuple("abc"), BOTH), 2),
        (FakeParent(1, IDS, ("plain",)), 5),
        (FakeParent(1, IDS, BOTH, contents={"e": "x"}), 1),
    ],
)
def test_rows_that_nobody_knows_any_more_are_told(parent, num_lost):
    """No row is ever made up, nor is a view."""
    with pytest.raises(
        CorruptCacheError, match=f"{num_lost} rows of train were .* again"
    ):
        assemble(parent)


def test_bad_pictures_are_refused_where_that_is_wanted(capsys):
    """The error names them and says how to go on; all are listed above."""
    assembly = assemble(FakeParent(1, IDS, BOTH), bad=[1, 3])

    with pytest.raises(
        BadImagesError,
        match=r"2 pictures cannot be decoded: b \(a text file\), d \(a text "
        r"file\)\. Expected: .*mend or remove .*`--on-error skip`",
    ):
        assembly.require_rows("fail", Console())

    assert capsys.readouterr().err.splitlines() == [
        "train b: a text file",
        "train d: a text file",
    ]


def test_bad_pictures_are_accepted_where_that_is_wanted(capsys):
    """They are listed; a cache without them is what was asked for."""
    parent = FakeParent(1, IDS, BOTH)

    assemble(parent).require_rows("fail", Console())
    assemble(parent, bad=[0, 1, 2, 3]).require_rows("skip", Console())

    assert capsys.readouterr().err.splitlines() == [
        f"train {image_id}: a text file" for image_id in "abcd"
    ]
    with pytest.raises(BadImagesError, match="5 pictures cannot be decoded"):
        assemble(parent, bad=range(5)).require_rows("skip", QUIET)


def test_a_build_of_which_all_is_used_is_removed(tmp_path):
    """It went on under another name; its blocks are in the cache."""
    parent = write_blocks(tmp_path / "old.h5.building", IDS)

    assemble(parent).remove_used_up(tmp_path, QUIET)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("image_ids", "views"),
    [(("a", "z"), BOTH), (IDS, ("plain", "flip", "third"))],
    ids=["rows", "views"],
)
def test_a_build_that_holds_more_is_kept(tmp_path, image_ids, views):
    """What cost a pass is not thrown away: another row, or another view."""
    parent = write_blocks(tmp_path / "old.h5.building", image_ids, views)
    rest = FakeParent(1, IDS, BOTH)

    assemble(parent, rest).remove_used_up(tmp_path, QUIET)

    assert files_in(tmp_path) == ["old.h5.building"]


def test_a_build_elsewhere_is_kept(tmp_path):
    """What lies in another folder is another's to remove."""
    parent = write_blocks(tmp_path / "there" / "old.h5.building", IDS)

    assemble(parent).remove_used_up(tmp_path, QUIET)

    assert files_in(tmp_path / "there") == ["old.h5.building"]


def test_a_build_that_goes_on_is_kept(tmp_path):
    """Its builder holds the lock and needs the blocks."""
    parent = write_blocks(tmp_path / "old.h5.building", IDS)
    assembly = assemble(parent)

    with lock_build(tmp_path / "old.h5", is_waiting=False, console=QUIET):
        assembly.remove_used_up(tmp_path, QUIET)

    assert files_in(tmp_path) == ["old.h5.building"]


@pytest.mark.parametrize("before", [(), ("a",)], ids=["none", "one"])
def test_a_build_that_has_gone_on_since_is_kept(tmp_path, before):
    """What was written after the plan was made is in no cache."""
    parent = write_blocks(tmp_path / "old.h5.building", before)
    rest = FakeParent(1, IDS, BOTH)
    assembly = assemble(parent, rest)
    write_blocks(tmp_path / "old.h5.building", ("b",), number=1)

    assembly.remove_used_up(tmp_path, QUIET)

    assert files_in(tmp_path) == ["old.h5.building"]


def test_a_build_that_began_anew_since_is_kept(tmp_path):
    """As many rows, of the same pictures, by another backbone."""
    build_dir = tmp_path / "old.h5.building"
    assembly = assemble(write_blocks(build_dir, IDS))
    write_blocks(build_dir, IDS, backbone="keras:other")

    assembly.remove_used_up(tmp_path, QUIET)

    assert files_in(tmp_path) == ["old.h5.building"]
