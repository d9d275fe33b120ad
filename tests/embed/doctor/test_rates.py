"""Tests for `embed.doctor.rates`."""

import dataclasses

import pytest

from embed.doctor.rates import count_work
from embed.doctor.rates import look_at_rates
from embed.doctor.subject import Subject
from embed.provenance import Attempt
from embed.provenance import host_name
from tests.drawn_caches import PROVENANCE
from tests.drawn_caches import write_drawn_cache

HANDLE, SIDE = "keras:MobileNetV2", 96


@pytest.fixture(name="subject")
def _subject(tmp_path):
    return Subject(
        dataset="digits",
        backbone=HANDLE,
        views="plain",
        artifacts_dir=tmp_path,
    )


@pytest.fixture(name="write")
def _write(tmp_path):
    """Writes a cache of two views that took some seconds; takes its host."""
    (tmp_path / "caches").mkdir()

    def write(*, seconds=4.0, host=None, views=("plain", "flip")):
        attempt = Attempt(
            started="", host="", pid=1, engine="litert", num_views=200
        )
        made = PROVENANCE.model_copy(
            update={
                "backbone": PROVENANCE.backbone.model_copy(
                    update={"handle": HANDLE}
                ),
                "host": host or host_name(),
                "seconds": {"pass": seconds},
                "attempts": (attempt,),
            }
        )
        write_drawn_cache(
            tmp_path / "caches" / "a.h5",
            num_train=5,
            provenance=made,
            num_views=len(views),
            views=views,
            image_size=(SIDE, SIDE),
        )

    return write


def test_the_rate_of_a_build_on_this_machine(subject, write):
    """Views by seconds of its pass."""
    write()

    found = look_at_rates(subject, SIDE)

    assert found["rate"] == pytest.approx(50.0)
    assert (found["cache"], found["image_size"]) == ("a.h5", SIDE)


def test_larger_views_count_for_more(subject, write):
    """A view of twice the side is four of the backbone's own size."""
    write(views=("plain", f"scale{2 * SIDE}"))

    assert look_at_rates(subject, SIDE)["rate"] == pytest.approx(125.0)


def test_what_is_not_alike_says_nothing(subject, write):
    """Another machine, size or backbone, or a pass too short to measure."""
    write()
    other = dataclasses.replace(subject, backbone="keras:ResNet50")

    assert look_at_rates(subject, 224) == {}
    assert look_at_rates(other, SIDE) == {}
    write(host="another")
    assert look_at_rates(subject, SIDE) == {}
    write(seconds=0.5)
    assert look_at_rates(subject, SIDE) == {}


def test_work_goes_with_pixels():
    """Of the backbone's own size a view is one."""
    assert count_work([None, 96, 192], 96) == pytest.approx(6.0)
