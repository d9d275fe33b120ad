"""Tests for `embed.doctor.estimate`."""

import pytest

from embed.doctor.check import UnknownError
from embed.doctor.child import Facts
from embed.doctor.estimate import INDEX_BYTES
from embed.doctor.estimate import ROW_BYTES
from embed.doctor.estimate import STATED_MEMORY_BYTES
from embed.doctor.estimate import make_estimate

DATASET = {
    "num_images": {"train": 80, "test": 20},
    "urls": [],
}
VIEWS = {"sides": [None, None]}
BACKBONE = {
    "urls": [],
    "feature_dim": 10,
    "image_size": 96,
    "rate": 50.0,
    "engine": "litert",
    "measured": "keras:Tiny",
    "is_loaded": True,
}


def test_sizes_and_times_add_up():
    """100 images of 2 views of 10 floats, at 50 views a second."""
    estimate = make_estimate(
        Facts(
            {
                "dataset": DATASET,
                "views": VIEWS,
                "backbone": BACKBONE,
                "memory": {"peak_bytes": 10**9},
                "rates": {},
            }
        )
    )

    assert estimate.num_images == 100
    assert estimate.cache_bytes == 100 * (2 * 10 * 4 + ROW_BYTES)
    assert estimate.disk_bytes == 2 * estimate.cache_bytes
    assert estimate.seconds == pytest.approx(4.0)
    assert estimate.memory_bytes == 10**9 + 100 * INDEX_BYTES
    assert "measured for a second just now" in estimate.basis


def test_larger_views_take_longer():
    """A view of twice the side counts four times."""
    facts = Facts(
        {
            "dataset": DATASET,
            "views": {"sides": [None, 192]},
            "backbone": BACKBONE,
        }
    )

    assert make_estimate(facts).seconds == pytest.approx(10.0)


def test_a_cache_that_was_built_here_is_believed_first():
    """Its rate has decoding and writing in it."""
    rates = {
        "rate": 25.0,
        "engine": "openvino",
        "cache": "a.h5",
        "feature_dim": 10,
        "image_size": 96,
    }
    facts = Facts(
        {
            "dataset": DATASET,
            "views": VIEWS,
            "backbone": BACKBONE,
            "rates": rates,
        }
    )

    estimate = make_estimate(facts)

    assert estimate.seconds == pytest.approx(8.0)
    assert "a.h5 was built here" in estimate.basis


def test_what_is_not_here_has_a_stated_size():
    """The peak of a stand-in says nothing of a build."""
    facts = Facts(
        {
            "dataset": DATASET,
            "views": VIEWS,
            "backbone": {**BACKBONE, "is_loaded": False},
            "memory": {"peak_bytes": 10**12},
        }
    )

    memory_bytes = make_estimate(facts).memory_bytes

    assert memory_bytes == STATED_MEMORY_BYTES + 100 * INDEX_BYTES


def test_an_unknown_backbone_leaves_gaps():
    """What does not depend on it is said all the same."""
    facts = Facts(
        {
            "dataset": DATASET,
            "views": VIEWS,
            "backbone": {"urls": ["https://example.com"]},
        }
    )

    estimate = make_estimate(facts)

    assert (estimate.num_images, estimate.seconds) == (100, None)
    assert estimate.cache_bytes is None
    assert "an unknown time" in estimate.describe()


def test_without_a_dataset_there_is_none():
    """The reason refers to the check that says more."""
    facts = Facts({"dataset": {"error": "There is no folder."}})

    with pytest.raises(UnknownError, match="see dataset"):
        make_estimate(facts)
