"""Tests for `embed.building.plan`."""

import weakref

import numpy as np
import pytest

from embed.building.blocks import BlockKey
from embed.building.blocks import list_blocks
from embed.building.current import CurrentPictures
from embed.building.plan import make_plan
from embed.console import Console
from embed.images import digest_content
from embed.spec import SplitSpec
from tests.drawn_caches import create_spec
from tests.letters import BOTH
from tests.letters import IDS
from tests.letters import FakeParent
from tests.letters import LetterSource


@pytest.fixture(name="source")
def _source():
    return LetterSource()


@pytest.fixture(name="plan")
def _plan(source):
    """Plans the five letters with some parents."""

    def plan(*parents, views=BOTH, accepts_errors=False):
        count = SplitSpec(num_images=len(IDS), digest="")
        return make_plan(
            create_spec(views=views, splits={"train": count, "test": count}),
            CurrentPictures(source, Console(is_quiet=True)),
            parents,
            accepts_errors=accepts_errors,
        )

    return plan


def tasks_of(plan):
    """Returns rows and views to compute, of the training split."""
    tasks = plan.list_tasks(list_blocks({"train": len(IDS)}))
    return [(task.rows.tolist(), task.views) for task in tasks]


def test_without_parents_all_is_computed(plan):
    """Every row and every view, and no picture is read to find that out."""
    made = plan()

    assert tasks_of(made) == [([0, 1, 2, 3, 4], BOTH)]
    assert made.used_parents() == []
    assert made.sole_parent() is None


def test_a_parent_of_everything_leaves_nothing(plan, source):
    """Rows are found by id, wherever they stand in the parent."""
    parent = FakeParent(1, tuple("edcba"), BOTH)

    made = plan(parent)

    assert tasks_of(made) == []
    assert made.sole_parent() is parent
    assert source.rows_read == [0, 1, 2, 3, 4] * 2
    np.testing.assert_array_equal(
        made.read("train", np.array([0, 3]), BOTH)[..., 0],
        [[140, 141], [110, 111]],
    )


def test_who_gives_no_row_is_forgotten(plan):
    """A folder may hold many caches of millions of other pictures."""
    stranger = FakeParent(1, ("x", "y"), BOTH)
    changed = FakeParent(2, tuple("ab"), BOTH, contents={"a": "x", "b": "x"})
    giver = FakeParent(3, tuple("cx"), BOTH)
    parents = (stranger, changed, giver)
    known = [weakref.ref(parent.known("train")) for parent in parents]

    made = plan(*parents)

    assert [ref() is None for ref in known] == [True, True, False]
    assert made.used_parents() == [giver]


def test_only_what_changed_is_computed(plan):
    """Another content, and an id that nobody knows."""
    parent = FakeParent(1, tuple("abcd"), BOTH, contents={"b": "x"})

    made = plan(parent)

    assert tasks_of(made) == [([1, 4], BOTH)]
    assert made.used_parents() == [parent]
    assert made.sole_parent() is None


def test_only_missing_views_are_computed(plan):
    """A plain cache saves half of the work of a flipped one."""
    made = plan(FakeParent(1, tuple("abc"), ("plain",)))

    assert tasks_of(made) == [([0, 1, 2], ("flip",)), ([3, 4], BOTH)]
    np.testing.assert_array_equal(
        made.read("train", np.array([2, 0]), ("plain",))[..., 0],
        [[120], [100]],
    )


def test_views_are_read_in_the_order_asked_for(plan):
    """Whatever order a parent keeps them in."""
    made = plan(FakeParent(1, IDS, ("third", "flip", "plain")))

    features = made.read("train", np.array([1]), BOTH)[..., 0]

    np.testing.assert_array_equal(features, [[112, 111]])
    assert tasks_of(made) == []


def test_who_has_all_views_comes_first(plan):
    """A row is not computed because a plain cache is the newer one."""
    plain = FakeParent(1, IDS, ("plain",))
    whole = FakeParent(2, tuple("ab"), BOTH)
    last = FakeParent(3, tuple("bc"), BOTH)

    made = plan(plain, whole, last)

    assert tasks_of(made) == [([3, 4], ("flip",))]
    assert made.used_parents() == [plain, whole, last]
    features = made.read("train", np.array([0, 1, 2]), BOTH)[..., 0]
    np.testing.assert_array_equal(features[:, 0], [200, 210, 310])


def test_rows_of_many_parents_come_in_order(plan):
    """Features, digests and orientations of a row stay together."""
    made = plan(
        FakeParent(1, tuple("db"), BOTH), FakeParent(2, tuple("eca"), BOTH)
    )
    rows = np.array([0, 1, 2, 3, 4])

    features = made.read("train", rows, ("plain",))[:, 0, 0]
    digests, is_oriented = made.known("train", rows)

    assert features.tolist() == [220, 110, 210, 100, 200]
    assert is_oriented.tolist() == [True, False, True, False, True]
    expected = [digest_content(i.encode()) for i in IDS]
    assert [digest.tobytes() for digest in digests] == expected


def test_equal_stamps_spare_the_reading(plan, source):
    """A picture that is untouched is believed to be what it was."""
    made = plan(FakeParent(1, tuple("abc"), BOTH, stamps=True))

    assert tasks_of(made) == [([3, 4], BOTH)]
    assert source.rows_read == []


def test_rows_without_a_stamp_are_read(plan, source):
    """No stamp is equal to no stamp only by looks."""
    made = plan(
        FakeParent(1, tuple("ab"), BOTH, stamps=True),
        FakeParent(2, tuple("cd"), BOTH),
    )

    assert tasks_of(made) == [([4], BOTH)]
    assert sorted(source.rows_read) == [2, 2, 3, 3]


def test_known_bad_pictures_are_accepted_where_asked(plan):
    """Who leaves them out computes nothing; who does not looks again."""
    parent = FakeParent(1, IDS, BOTH, bad=("b",))

    skipping = plan(parent, accepts_errors=True)
    failing = plan(parent)

    assert tasks_of(skipping) == []
    assert skipping.splits["train"].errors == {1: "bad b"}
    assert skipping.sole_parent() is parent
    assert tasks_of(failing) == [([1], BOTH)]
    assert failing.splits["train"].errors == {}
    assert failing.sole_parent() is None


def test_mended_pictures_are_not_known_to_be_bad(plan):
    """A bad picture is one of these bytes, not of this name."""
    parent = FakeParent(1, IDS, BOTH, bad=("b",), contents={"b": "broken"})

    made = plan(parent, accepts_errors=True)

    assert tasks_of(made) == [([1], BOTH)]
    assert made.splits["train"].errors == {}


def test_tasks_do_not_cross_blocks(plan):
    """Each task lies in one block and says how many views it takes."""
    keys = [BlockKey("train", 0, 0, 2), BlockKey("train", 1, 2, 5)]

    tasks = plan(FakeParent(1, tuple("bd"), ("plain",))).list_tasks(keys)

    found = [(t.key.number, t.rows.tolist(), t.num_views) for t in tasks]
    assert found == [
        (0, [0], 2),
        (0, [1], 1),
        (1, [2, 4], 4),
        (1, [3], 1),
    ]


def test_reading_no_rows_is_a_fault_of_ours(plan):
    """Without a row nobody knows how long a vector is."""
    with pytest.raises(ValueError, match="one row at least"):
        plan(FakeParent(1, IDS, BOTH)).read("train", np.array([], int), BOTH)
