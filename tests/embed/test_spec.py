"""Tests for `embed.spec`."""

import hashlib
import re

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.spec import CacheSpec
from embed.spec import SplitSpec
from embed.spec import describe_differences
from embed.spec import differences
from embed.spec import digest_arrays
from embed.spec import digest_rows
from embed.spec import is_kin
from embed.spec import is_served_by

SPEC = CacheSpec(
    dataset="tfds:tiny_set",
    dataset_version="1.0.0",
    class_names=("cat", "dog"),
    splits={
        "train": SplitSpec(num_images=4, digest="a" * 64),
        "test": SplitSpec(num_images=2, digest="b" * 64),
    },
    backbone="keras:Tiny",
    weights_digest="w" * 64,
    image_size=(8, 8),
    views=("plain", "flip"),
)
CHANGES = {
    "dataset": "tfds:other_set",
    "dataset_version": "1.0.1",
    "class_names": ("dog", "cat"),
    "splits": {
        "train": SplitSpec(num_images=4, digest="c" * 64),
        "test": SplitSpec(num_images=2, digest="b" * 64),
    },
    "backbone": "keras:Other",
    "weights_digest": "x" * 64,
    "image_size": (8, 9),
    "pixel_range": (-1.0, 1.0),
    "resize": "bicubic",
    "views": ("flip", "plain"),
    "precision": "bfloat16",
    "dtype": "float16",
    "schema_version": 0,
}
specs = st.builds(
    CacheSpec,
    dataset=st.text(),
    dataset_version=st.text(),
    class_names=st.lists(st.text(), max_size=3).map(tuple),
    splits=st.dictionaries(
        st.sampled_from(["train", "test"]),
        st.builds(SplitSpec, num_images=st.integers(0), digest=st.text()),
    ),
    backbone=st.text(),
    weights_digest=st.text(),
    image_size=st.tuples(st.integers(1), st.integers(1)),
    views=st.sampled_from([("plain",), ("plain", "flip")]),
    precision=st.sampled_from(["float32", "bfloat16"]),
    dtype=st.sampled_from(["float32", "float16"]),
)


def change(name):
    """Returns the spec with one field changed."""
    return SPEC.model_copy(update={name: CHANGES[name]})


@given(specs)
def test_json_round_trip(spec):
    """A spec read from its canonical text is equal and writes the same."""
    read = CacheSpec.model_validate_json(spec.to_json())

    assert read == spec
    assert read.to_json() == spec.to_json()
    assert read.fingerprint() == spec.fingerprint()


def test_every_field_has_a_change_here():
    """A new field cannot be forgotten by the tests below."""
    assert set(CHANGES) == set(CacheSpec.model_fields)


@pytest.mark.parametrize("name", CHANGES)
def test_each_field_alone_changes_the_fingerprint(name):
    """Nothing in the spec is without effect on the file's name."""
    assert change(name).fingerprint() != SPEC.fingerprint()


def test_order_of_splits_changes_nothing():
    """A mapping has no order, whoever filled it."""
    reordered = SPEC.model_copy(
        update={"splits": dict(reversed(SPEC.splits.items()))}
    )

    assert list(reordered.splits) != list(SPEC.splits)
    assert reordered.fingerprint() == SPEC.fingerprint()


def test_unknown_fields_are_refused():
    """A spec of a later version is not read as if it said less."""
    fields = {**SPEC.model_dump(), "crop": "center"}

    with pytest.raises(pydantic.ValidationError, match="crop"):
        CacheSpec.model_validate(fields)


def test_specs_do_not_change():
    """What was fingerprinted cannot become something else."""
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        SPEC.dataset = "digits"


def test_more_views_serve_fewer():
    """Who asks for the plain view can use a cache that has the mirror too."""
    plain = SPEC.model_copy(update={"views": ("plain",)})

    assert is_served_by(plain, SPEC)
    assert not is_served_by(SPEC, plain)
    assert is_served_by(SPEC, SPEC)


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {"views"}))
def test_any_other_difference_does_not_serve(name):
    """Only views may be more than asked for, whatever else agrees."""
    assert not is_served_by(change(name), SPEC)
    assert not is_served_by(SPEC, change(name))


@pytest.mark.parametrize("name", ["class_names", "splits"])
def test_other_pictures_are_kin(name):
    """Vectors of the same picture are equal, whatever else is in a cache."""
    assert is_kin(change(name), SPEC)
    assert is_kin(SPEC, change(name))


def test_views_in_part_are_kin():
    """One view in common is worth taking over; none is not."""
    plain = SPEC.model_copy(update={"views": ("plain",)})
    flip = SPEC.model_copy(update={"views": ("flip",)})

    assert is_kin(plain, SPEC)
    assert is_kin(SPEC, plain)
    assert is_kin(change("views"), SPEC)
    assert not is_kin(plain, flip)


@pytest.mark.parametrize(
    "name", sorted(set(CHANGES) - {"class_names", "splits", "views"})
)
def test_other_vectors_are_no_kin(name):
    """Whatever changes a vector keeps caches apart, the dataset's name too."""
    assert not is_kin(change(name), SPEC)
    assert not is_kin(SPEC, change(name))


@pytest.mark.parametrize("name", CHANGES)
def test_differences_name_the_field(name):
    """The message about a stale cache points at the cause, with both values."""
    found = differences(SPEC, change(name))

    assert list(found) == [name]
    text = describe_differences(SPEC, change(name))
    assert re.match(rf"Expected: {name}[a-z.]*=", text)
    assert f". Received: {name}" in text


def test_differences_give_both_values():
    """Each value stands on its own side."""
    other = SPEC.model_copy(update={"image_size": (9, 8), "dtype": "float16"})

    text = describe_differences(SPEC, other)

    assert text == (
        "Expected: image_size=[8, 8], dtype=float32. "
        "Received: image_size=[9, 8], dtype=float16."
    )


def test_long_values_are_shortened():
    """A thousand class names do not drown the message."""
    names = tuple(f"class-{number}" for number in range(1000))
    other = SPEC.model_copy(update={"class_names": names})

    text = describe_differences(SPEC, other)

    assert len(text) < 200
    assert text.endswith("....")


def test_a_late_difference_is_shown():
    """Of a thousand class names the error shows the one that is another."""
    names = [f"class-{number}" for number in range(1000)]
    spec = SPEC.model_copy(update={"class_names": (*names, "cat", "dog")})
    other = SPEC.model_copy(update={"class_names": (*names, "eel", "dog")})

    expected, received = describe_differences(spec, other).split(" Received")

    assert "'class-999', 'cat', 'dog']" in expected
    assert "'class-999', 'eel', 'dog']" in received
    assert len(expected) < 150


def test_digest_of_rows_is_of_lines():
    """Each row is id, a zero byte, label and a line feed."""
    expected = hashlib.sha256(b"a\x000\n\xc3\xa9\x0012\n").hexdigest()

    digest = digest_rows(["a", "é"], np.array([0, 12], np.int32))

    assert digest == expected


@pytest.mark.parametrize(
    ("ids", "labels"),
    [(["b", "a"], [0, 1]), (["a", "b"], [1, 0]), (["a", "b"], [0, 2])],
)
def test_rows_are_digested_in_order_with_labels(ids, labels):
    """Other order, other ids and other labels give another digest."""
    assert digest_rows(ids, labels) != digest_rows(["a", "b"], [0, 1])


def test_rows_need_one_label_an_id():
    """A label too few is a fault of ours, not a shorter digest."""
    with pytest.raises(ValueError, match="shorter"):
        digest_rows(["a", "b"], [0])


@pytest.mark.parametrize(
    "other",
    [
        np.zeros((3, 2), np.float32),
        np.zeros((2, 3), np.float64),
        np.ones((2, 3), np.float32),
    ],
)
def test_digest_of_arrays_covers_shape_dtype_and_values(other):
    """Equal bytes of another shape or type are other weights."""
    zeros = np.zeros((2, 3), np.float32)

    assert digest_arrays([other]) != digest_arrays([zeros])
    assert digest_arrays([zeros.copy(order="F")]) == digest_arrays([zeros])
