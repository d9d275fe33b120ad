"""Tests for `head.evaluating.groups`."""

from pathlib import Path

import numpy as np
import pytest

from embed.errors import PipelineError
from head.evaluating.groups import find_groups

# As TFDS orders and spells them.
BREEDS = tuple(
    """
    Abyssinian american_bulldog american_pit_bull_terrier basset_hound beagle
    Bengal Birman Bombay boxer British_Shorthair chihuahua Egyptian_Mau
    english_cocker_spaniel english_setter german_shorthaired great_pyrenees
    havanese japanese_chin keeshond leonberger Maine_Coon miniature_pinscher
    newfoundland Persian pomeranian pug Ragdoll Russian_Blue saint_bernard
    samoyed scottish_terrier shiba_inu Siamese Sphynx
    staffordshire_bull_terrier wheaten_terrier yorkshire_terrier
    """.split()
)
NEW = {
    *("Sphynx", "British_Shorthair", "Maine_Coon", "Abyssinian", "Bengal"),
    *("Egyptian_Mau", "Russian_Blue", "Ragdoll", "Birman", "Bombay"),
    *("havanese", "leonberger", "american_bulldog", "shiba_inu"),
}
SHAPES = ("left_hand", "right_hand", "foot")
LABELS_PATH = (
    Path(__file__).parents[4]
    / "shared/tfds/oxford_iiit_pet/4.0.0/label.labels.txt"
)


@pytest.fixture(name="groups_file")
def _groups_file(tmp_path):
    """Writes a groups file and returns its path."""

    def write(text):
        path = tmp_path / "groups.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def names_in(groups, class_names):
    """Returns by group the set of its class names."""
    return {
        group: {class_names[number] for number in numbers}
        for group, numbers in groups.items()
    }


def test_all_is_the_only_group_of_other_classes():
    """Without a file, other classes than pets have one group."""
    groups = find_groups(SHAPES)

    assert list(groups) == ["all"]
    np.testing.assert_array_equal(groups["all"], [0, 1, 2])


def test_groups_of_the_pets():
    """The four groups are those of the reference; cats are capitalised."""
    names = names_in(find_groups(BREEDS), BREEDS)

    cats = {name for name in BREEDS if name[0].isupper()}
    assert list(names) == ["all", "new", "old", "cats", "dogs"]
    assert names["all"] == set(BREEDS)
    assert names["new"] == NEW
    assert names["old"] == set(BREEDS) - NEW
    assert names["cats"] == cats
    assert names["dogs"] == set(BREEDS) - cats


def test_sizes_of_the_pet_groups():
    """Of 37 breeds 14 are new to ImageNet, and 12 are cats."""
    sizes = {
        group: len(find_groups(BREEDS)[group]) for group in find_groups(BREEDS)
    }

    assert sizes == {"all": 37, "new": 14, "old": 23, "cats": 12, "dogs": 25}


@pytest.mark.parametrize(
    "respell",
    [
        str.lower,
        str.upper,
        lambda name: name.replace("_", " ").title(),
        str.swapcase,
    ],
)
def test_spelling_of_breeds_does_not_matter(respell):
    """A folder may spell the breeds with spaces and in any letter case."""
    respelt = [respell(name) for name in BREEDS]

    groups = find_groups(respelt)

    expected = find_groups(BREEDS)
    assert list(groups) == list(expected)
    for group, numbers in expected.items():
        np.testing.assert_array_equal(groups[group], numbers)


@pytest.mark.parametrize(
    "class_names",
    [BREEDS[:-1], (*BREEDS, "axolotl"), (*BREEDS[:-1], "axolotl")],
)
def test_other_breeds_are_not_the_pets(class_names):
    """The built-in groups are for exactly the 37 breeds."""
    assert list(find_groups(class_names)) == ["all"]


@pytest.mark.real
def test_groups_of_the_real_labels():
    """The label list that TFDS wrote has all the groups."""
    if not LABELS_PATH.is_file():
        pytest.skip(f"no labels at {LABELS_PATH}")
    class_names = LABELS_PATH.read_text("utf-8").split()

    groups = find_groups(class_names)

    assert tuple(class_names) == BREEDS
    assert names_in(groups, class_names)["new"] == NEW


def test_file_of_groups(groups_file):
    """Names are matched with underscores as spaces, in the file's order."""
    path = groups_file(
        'hands = ["right hand", "left_hand", "left hand"]\nfeet = ["foot"]\n'
    )

    groups = find_groups(SHAPES, path)

    assert list(groups) == ["all", "hands", "feet"]
    np.testing.assert_array_equal(groups["all"], [0, 1, 2])
    np.testing.assert_array_equal(groups["hands"], [0, 1])
    np.testing.assert_array_equal(groups["feet"], [2])


def test_file_takes_the_place_of_built_in_groups(groups_file):
    """Whoever names groups gets those, and not the built-in ones too."""
    path = groups_file('bull = ["american bulldog"]')

    assert list(find_groups(BREEDS, path)) == ["all", "bull"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a = ["fot"]', "Expected: 'foot'. Received: 'fot'"),
        ('a = ["FOOT"]', "Expected: 'foot'. Received: 'FOOT'"),
        ('a = ["rihgt hand"]', "Expected: 'right_hand'"),
        ('a = ["xyz"]', "Expected: one of 'foot', 'left_hand', 'right_hand'"),
        ('a = ["y", "foot", "x"]', "Received: 'x', 'y'"),
        ("a = []", r"at least one class name.*Received: \[\]"),
        ('a = "foot"', "a list.*Received: 'foot'"),
        ("a = [1]", r"a list.*Received: \[1\]"),
        ('[a]\nb = ["foot"]', "a list.*Received: {'b': "),
        ('all = ["foot"]', "other than 'all'"),
        ("a = [", "is no TOML.*Invalid value"),
        ('a = ["foot"]\na = ["foot"]', "is no TOML"),
        (b"\xff", "is no TOML.*utf-8"),
    ],
)
def test_faulty_file_is_refused(groups_file, text, message):
    """Each fault is one line: what was expected, what came, what to do."""
    path = groups_file(text)

    with pytest.raises(PipelineError, match=message) as caught:
        find_groups(SHAPES, path)

    assert str(path) in str(caught.value)
    assert "`--groups" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_many_classes_are_not_all_listed(groups_file):
    """The line stays readable when a thousand names would fit none."""
    class_names = [f"class-{number:03}" for number in range(1000)]

    with pytest.raises(PipelineError, match="'class-039', and") as caught:
        find_groups(class_names, groups_file('a = ["zzz"]'))

    assert "and 960 more" in str(caught.value)


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_missing_file(tmp_path, name):
    """A file that cannot be read is an error with advice."""
    with pytest.raises(
        PipelineError, match="Give another with `--groups FILE`"
    ):
        find_groups(SHAPES, tmp_path / name)


def test_file_without_groups(groups_file):
    """An empty file asks for no group but `all`."""
    assert list(find_groups(SHAPES, groups_file(""))) == ["all"]
