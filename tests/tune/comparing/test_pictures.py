"""Tests for `tune.comparing.pictures`."""

import pytest

from tune.comparing.pictures import IncomparableError
from tune.comparing.pictures import require_same_pictures


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dataset": "tfds:other_set"}, "dataset=tfds:tiny_set"),
        ({"dataset_version": "2.0.0"}, "dataset_version=1.0.0"),
        ({"class_names": ("cat", "dog", "eel")}, "class_names="),
    ],
)
def test_another_problem_is_refused_by_its_field(make_cache, fields, words):
    """Field, both values and what to run, in one line."""
    first, other = make_cache("a.h5"), make_cache("b.h5", **fields)

    with pytest.raises(IncomparableError, match="build-cache") as caught:
        require_same_pictures(first, other)

    text = str(caught.value)
    assert "\n" not in text
    assert f"{first.path} and {other.path} cannot be compared" in text
    assert f"Expected: {words}" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_train": 57}, "Received: 3 only in the first."),
        ({"seed": 1}, "60 only in the first, 60 only in the second."),
        ({"is_sorted": True}, "of another class."),
    ],
)
def test_other_pictures_are_refused_by_their_number(make_cache, options, words):
    """Ids and labels are compared one by one."""
    first, other = make_cache("a.h5"), make_cache("b.h5", **options)

    with pytest.raises(IncomparableError, match="same train pictures") as error:
        require_same_pictures(first, other)

    assert words in str(error.value)


def test_another_backbone_is_what_is_compared(make_cache):
    """Backbone, size, weights and test pictures may differ."""
    other = make_cache(
        "b.h5",
        num_test=10,
        backbone="keras:Other",
        image_size=(16, 16),
        weights_digest="v" * 64,
    )

    require_same_pictures(make_cache("a.h5"), other)
