"""Tests for `embed.building.parents`."""

import weakref

import numpy as np
import pytest

from embed.building.blocks import Block
from embed.building.blocks import list_blocks
from embed.building.blocks import write_block
from embed.building.current import UNREADABLE
from embed.building.folder import SPEC
from embed.building.parents import BlocksParent
from embed.building.parents import CacheParent
from embed.building.stamps import NO_STAMP
from embed.building.stamps import write_stamps
from embed.cache import open_cache
from embed.cache import open_damaged
from embed.errors import CorruptCacheError
from embed.errors import DamagedParentError
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import change_bytes
from tests.drawn_caches import create_spec
from tests.drawn_caches import draw_rows
from tests.drawn_caches import flip_a_bit
from tests.drawn_caches import place_of
from tests.drawn_caches import write_drawn_cache

VIEWS = ("plain", "flip")
MAX_PIXELS = PROVENANCE.max_pixels


@pytest.fixture(name="path")
def _path(tmp_path):
    """A cache of 300 training and 4 test rows; it left `é` out."""
    path = tmp_path / "cache.h5"
    write_drawn_cache(path)
    return path


@pytest.fixture(name="build_dir")
def _build_dir(tmp_path):
    """A build that was cut off: its blocks 0 and 2 of 600 training rows."""
    build_dir = tmp_path / "other.h5.building"
    for key in list_blocks({"train": 600})[::2]:
        write_block(draw_block(key.start, key.stop), key.path_in(build_dir))
    (build_dir / SPEC).write_text(create_spec(600).to_json())
    return build_dir


def draw_block(start, stop):
    """Returns the block of some of 600 rows."""
    rows = draw_rows(600)
    return Block(
        image_ids=rows.image_ids[start:stop],
        features=rows.features[start:stop],
        content_digests=rows.content_digests[start:stop],
        is_oriented=rows.is_oriented[start:stop] != 0,
        stamps=np.arange(3 * start, 3 * stop).reshape(-1, 3),
    )


def damage(path, name, row):
    """Flips a bit of a training row of a cache."""
    column = open_damaged(path).seal.columns["train"][name]
    change_bytes(path, *place_of(column, row, row), flip_a_bit)


def test_a_cache_knows_its_rows(path):
    """Ids, contents, orientations and features are those that were written."""
    expected = draw_rows(300)
    parent = CacheParent(open_cache(path), max_pixels=1)
    positions = np.array([299, 0, 7])

    known = parent.known("train")

    assert parent.views == VIEWS
    assert known.image_ids[7] == "été/0007.jpg"
    np.testing.assert_array_equal(
        known.content_digests, expected.content_digests
    )
    np.testing.assert_array_equal(known.is_oriented, expected.is_oriented)
    assert (known.stamps == NO_STAMP).all()
    np.testing.assert_array_equal(
        parent.read("train", positions), expected.features[positions]
    )


def test_what_is_forgotten_takes_no_memory(path):
    """Not in the cache either; it is read again, and counted all the same."""
    parent = CacheParent(open_cache(path), max_pixels=MAX_PIXELS)
    known = weakref.ref(parent.known("train"))
    index = weakref.ref(parent.cache.index("train"))

    parent.forget("train")

    assert (known(), index()) == (None, None)
    assert (parent.count("train"), parent.count("test")) == (301, 4)
    assert parent.known("train").image_ids[7] == "été/0007.jpg"


def test_a_cache_knows_its_stamps(path):
    """What lies beside it is used where it is there."""
    cache = open_cache(path)
    stamps = {
        split: np.arange(3 * count).reshape(-1, 3)
        for split, count in cache.num_images.items()
    }
    write_stamps(cache, stamps)

    known = CacheParent(cache, max_pixels=MAX_PIXELS).known("train")

    np.testing.assert_array_equal(known.stamps[:300], stamps["train"])
    assert (known.stamps[300:] == NO_STAMP).all()


def test_a_cache_knows_the_pictures_it_left_out(path):
    """They stand behind its rows, with content and reason."""
    known = CacheParent(open_cache(path), max_pixels=MAX_PIXELS).known("train")

    assert known.errors == {300: "empty"}
    assert known.image_ids[300] == "é"
    assert known.content_digests[300].tobytes() == b"\xab" * 32
    assert not known.is_oriented[300]
    assert (
        CacheParent(open_cache(path), max_pixels=MAX_PIXELS)
        .known("test")
        .errors
        == {}
    )


def test_pictures_left_out_under_another_limit_are_not_known(path):
    """What was too large then may be small enough now."""
    parent = CacheParent(open_cache(path), max_pixels=MAX_PIXELS + 1)

    assert parent.known("train").errors == {}
    assert len(parent.known("train").image_ids) == 300


def test_pictures_left_out_unread_are_known_while_they_are(tmp_path):
    """They have no content; one that can be read now has another."""
    path = tmp_path / "cache.h5"
    (unread,) = PROVENANCE.skipped
    unread = unread.model_copy(update={"content_digest": ""})
    provenance = PROVENANCE.model_copy(update={"skipped": (unread,)})
    write_drawn_cache(path, provenance=provenance)

    known = CacheParent(open_cache(path), max_pixels=MAX_PIXELS).known("train")

    assert known.errors == {300: "empty"}
    assert known.image_ids[300] == "é"
    assert known.content_digests[300].tobytes() == UNREADABLE


def test_damaged_rows_are_never_handed_out(path):
    """Rows taken over from a cache are checked one by one."""
    damage(path, "features", 7)
    parent = CacheParent(open_cache(path), max_pixels=MAX_PIXELS)

    assert parent.read("train", np.array([6, 8])).shape == (2, 2, 4)
    with pytest.raises(DamagedParentError, match=r"verify .* --repair"):
        parent.read("train", np.array([6, 7]))


def test_damage_is_passed_over(path):
    """Once it is told all rows are read, and the good ones alone are known."""
    damage(path, "features", 7)
    parent = CacheParent(open_cache(path), max_pixels=MAX_PIXELS)
    before = parent.known("train")

    parent.pass_over_damage()

    known = parent.known("train")
    assert known.image_ids == before.image_ids[:7] + before.image_ids[8:300]
    np.testing.assert_array_equal(
        parent.read("train", np.arange(299)),
        np.delete(draw_rows(300).features, 7, axis=0),
    )
    assert len(parent.known("test").image_ids) == 4


def test_the_good_rows_of_a_damaged_cache_are_known(path):
    """Each vouches for itself, whatever happened to the others."""
    expected = draw_rows(300)
    for row in (0, 7):
        damage(path, "labels", row)
    rows = np.delete(np.arange(300), [0, 7])
    is_good = {"train": np.isin(np.arange(300), rows), "test": np.zeros(4) > 0}
    parent = CacheParent(
        open_damaged(path), max_pixels=MAX_PIXELS, is_good=is_good
    )

    known = parent.known("train")
    features = parent.read("train", np.arange(298))

    numbers = [int(image_id[-7:-4]) for image_id in known.image_ids]
    assert numbers == rows.tolist()
    np.testing.assert_array_equal(
        known.content_digests, expected.content_digests[rows]
    )
    np.testing.assert_array_equal(features, expected.features[rows])
    assert known.errors == {}
    assert parent.known("test").image_ids == ()


def test_blocks_know_their_rows(build_dir):
    """Those of every whole block, in any order and across blocks."""
    expected = draw_rows(600)
    held = np.r_[0:256, 512:600]
    positions = np.array([300, 3, 255, 256, 3])

    parent = BlocksParent(build_dir, VIEWS)
    known = parent.known("train")

    ids = expected.image_ids[held].tolist()
    assert list(known.image_ids) == [image_id.decode() for image_id in ids]
    np.testing.assert_array_equal(
        known.content_digests, expected.content_digests[held]
    )
    np.testing.assert_array_equal(known.stamps[256], [1536, 1537, 1538])
    np.testing.assert_array_equal(
        parent.read("train", positions), expected.features[held[positions]]
    )
    assert parent.known("test").image_ids == ()


def test_damaged_blocks_are_not_known(build_dir):
    """What a bad disk did to a block costs that block alone."""
    path = build_dir / "train" / "00000000.npz"
    change_bytes(path, 0, path.stat().st_size, flip_a_bit)

    known = BlocksParent(build_dir, VIEWS).known("train")

    assert len(known.image_ids) == 600 - 512


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_block_lost_meanwhile_is_told(build_dir, is_removed):
    """No row is made up, and no file removed: the next run computes it."""
    parent = BlocksParent(build_dir, VIEWS)
    parent.known("train")
    path = build_dir / "train" / "00000000.npz"
    path.write_bytes(b"damaged")
    if is_removed:
        path.unlink()

    with pytest.raises(CorruptCacheError, match=r"build-cache` again"):
        parent.read("train", np.array([0]))

    assert path.exists() != is_removed
    assert parent.read("train", np.array([256])).shape == (1, 2, 4)
    again = BlocksParent(build_dir, VIEWS).known("train")
    assert len(again.image_ids) == 600 - 512


def test_a_block_rewritten_meanwhile_is_told(build_dir):
    """Its builder may put rows elsewhere: none is taken for another."""
    parent = BlocksParent(build_dir, VIEWS)
    parent.known("train")
    path = build_dir / "train" / "00000000.npz"
    block = draw_block(0, 256)
    write_block(block.take(np.r_[1:256, 0]), path)

    with pytest.raises(CorruptCacheError, match=r"build-cache` again"):
        parent.read("train", np.array([0]))

    assert path.exists()


@pytest.mark.parametrize("is_checked", [False, True])
def test_features_are_read_once_where_all_blocks_were_checked(
    build_dir, is_checked
):
    """Damage is found in time, or when the rows are taken; never missed."""
    block = build_dir / "train" / "00000002.npz"
    data = block.read_bytes()
    features = draw_rows(600).features[512:600].tobytes()
    start = data.index(features)
    change_bytes(block, start, start + len(features), flip_a_bit)
    parent = BlocksParent(build_dir, VIEWS, is_checked=is_checked)

    known = parent.known("train")

    assert len(known.image_ids) == (344 if is_checked else 256)
    assert len(parent.read("train", np.arange(256))) == 256
    if is_checked:
        with pytest.raises(CorruptCacheError, match="computes what it cannot"):
            parent.read("train", np.arange(300))
