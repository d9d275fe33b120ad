"""Fingerprints stand in file names and specs: they never change silently."""

import pytest

from embed.spec import CacheSpec
from embed.spec import SplitSpec
from embed.splits import hash_id

SPEC = CacheSpec(
    dataset="tfds:oxford_iiit_pet",
    dataset_version="4.0.0",
    class_names=("Abyssinian", "american_bulldog", "été"),
    splits={
        "train": SplitSpec(num_images=3, digest="a" * 64),
        "test": SplitSpec(num_images=1, digest="b" * 64),
    },
    backbone="keras:MobileNetV2?alpha=1.4",
    weights_digest="c" * 64,
    image_size=(224, 224),
    views=("plain", "flip"),
)


def test_canonical_text():
    """Keys sorted, no spaces, defaults written out, UTF-8 as it is."""
    assert SPEC.to_json() == (
        '{"backbone":"keras:MobileNetV2?alpha=1.4",'
        '"class_names":["Abyssinian","american_bulldog","été"],'
        '"dataset":"tfds:oxford_iiit_pet","dataset_version":"4.0.0",'
        '"dtype":"float32","image_size":[224,224],"pixel_range":[0.0,1.0],'
        '"precision":"float32","resize":"bilinear","schema_version":2,'
        '"splits":{"test":{"digest":"' + "b" * 64 + '","num_images":1},'
        '"train":{"digest":"' + "a" * 64 + '","num_images":3}},'
        '"views":["plain","flip"],"weights_digest":"' + "c" * 64 + '"}'
    )


@pytest.mark.parametrize(
    ("change", "fingerprint"),
    [
        ({}, "02e82c485da5a542"),
        ({"views": ("plain",)}, "4a2f0b052c9c2938"),
        ({"precision": "bfloat16", "dtype": "float16"}, "c9b2bd9118575be0"),
    ],
)
def test_fingerprints(change, fingerprint):
    """The same spec has the same name on every machine, in every version."""
    assert SPEC.model_copy(update=change).fingerprint() == fingerprint


@pytest.mark.parametrize(
    ("image_id", "salt", "expected"),
    [
        ("Abyssinian_1.jpg", "val", 0xFAE7E763380C06F3),
        ("Abyssinian_1.jpg", "test", 0xC280B047A722FE60),
        ("été/1.jpg", "limit", 0xFFFDEBC71D6A94E4),
    ],
)
def test_hashes_of_ids(image_id, salt, expected):
    """An image stays on its side of every split for ever."""
    assert hash_id(image_id, salt) == expected
