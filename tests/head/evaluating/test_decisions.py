"""Tests for `head.evaluating.decisions`."""

import functools

import numpy as np
import pytest

from embed.splits import Selection
from embed.splits import split_train
from embed.stream import RowStream
from head.ensemble import answer_views
from head.evaluating import decisions
from head.evaluating.calibration import fit_temperature
from head.evaluating.decisions import decide
from head.evaluating.view_choice import choose_views
from head.spec import HeadSpec
from head.training.train import train_head

VIEWS = ("plain", "flip", "center")
NUM_CLASSES = 3


@pytest.fixture(name="cache")
def _cache(draw_cache, tmp_path):
    """Clouds of points in three views, which overlap."""
    return draw_cache(
        tmp_path / "cache.h5", views=VIEWS, num_train=300, noise=3.0
    )


@pytest.fixture(name="head")
def _head(cache):
    """A head that was not trained on the validation images."""
    rows = cache.take(split_train(cache.image_ids("train")).train)
    return train_head(
        HeadSpec(epochs=2), train=rows, val=None, num_classes=3, seed=0
    ).model


def decide_by_hand(cache, head, selection):
    """Returns temperature and views that some rows decide."""
    logits, labels = answer_views(
        head, cache.take(selection), num_answered=len(VIEWS)
    )
    temperature = fit_temperature(logits[:, 0], labels)
    return temperature, choose_views(logits, labels, VIEWS)


def test_all_validation_images_decide(cache, head):
    """Where their answers fit into memory, as nearly always."""
    selection = split_train(cache.image_ids("train")).val

    found = decide(head, cache, cache.take(selection), cache.take)

    expected = decide_by_hand(cache, head, selection)
    assert (found.temperature, found.tta_views) == expected
    assert found.temperature != 1


def test_of_a_great_many_a_sample_decides(cache, head, monkeypatch):
    """The same images each time, and the same from a stream as from memory."""
    num_sampled = 20
    monkeypatch.setattr(
        decisions, "MOST_LOGITS", num_sampled * len(VIEWS) * NUM_CLASSES
    )
    selection = split_train(cache.image_ids("train")).val
    asked = []

    def read(some):
        asked.append(some.rows)
        return cache.take(some)

    held = decide(head, cache, cache.take(selection), read)

    stream = functools.partial(RowStream, cache, memory_limit=2000)
    streamed = decide(head, cache, stream(selection), stream)
    [rows] = asked
    assert len(rows) == num_sampled
    assert set(rows) < set(selection.rows)
    assert (np.diff(rows) > 0).all()
    expected = decide_by_hand(cache, head, Selection("train", rows))
    assert (held.temperature, held.tta_views) == expected
    assert streamed.temperature == pytest.approx(held.temperature, rel=1e-4)
    assert streamed.tta_views == held.tta_views
