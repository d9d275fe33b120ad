"""Tests for `head.evaluating.view_choice`."""

import json

import numpy as np
import pytest

from embed.splits import Selection
from embed.splits import split_train
from head.ensemble import answer_views
from head.evaluating.evaluate import evaluate
from head.evaluating.view_choice import choose_views
from head.refit import train_run
from head.run import load_run
from head.spec import HeadSpec
from head.training.train import train_head

FOUR = ("plain", "flip", "center", "scale12")
SPEC = HeadSpec(epochs=3)


@pytest.fixture(name="cache")
def _cache(draw_cache, tmp_path):
    """Clouds of points in four views."""
    return draw_cache(tmp_path / "cache.h5", views=FOUR, num_train=90)


def make_logits(*of_views):
    """Returns logits `(2, num_views, 2)` of two images, one of each class.

    Args:
        of_views: Of each view by how much the true class is ahead, by image.
    """
    ahead = np.array(of_views, np.float32).T
    logits = np.zeros((*ahead.shape, 2), np.float32)
    logits[0, :, 0], logits[1, :, 1] = ahead
    return logits


def test_views_are_added_while_the_mean_gets_better():
    """The best first, and none that makes the mean worse; in their order."""
    logits = make_logits([2, -1], [-3, -3], [0, 4], [3, 0.5])

    chosen = choose_views(logits, np.array([0, 1]), FOUR)

    # Alone 1 - 1.72, with `center` (1, 1.5), then `scale12` (1.67, 1.17).
    assert chosen == ("plain", "center", "scale12")


def test_the_picture_itself_may_be_all():
    """Where every other view makes the mean worse."""
    logits = make_logits([5, 5], [1, 1], [-2, 3], [4, 4])

    assert choose_views(logits, np.array([0, 1]), FOUR) == ("plain",)


@pytest.mark.parametrize("names", [("plain",), ("plain", "flip")])
def test_two_views_are_both_averaged(names):
    """As `--tta` promises, however bad the mirror is."""
    logits = make_logits([5, 5], [-9, -9])[:, : len(names)]

    assert choose_views(logits, np.array([0, 1]), names) == names


def test_validation_rows_alone_choose(cache, tmp_path, monkeypatch):
    """By the head that never saw them; no row of another side is asked."""
    taken = []
    take = type(cache).take

    def watch(self, selection):
        taken.append(selection.split)
        return take(self, selection)

    monkeypatch.setattr(type(cache), "take", watch)
    run = train_run(cache, SPEC, seed=0, artifacts_dir=tmp_path)
    monkeypatch.undo()

    split = split_train(cache.image_ids("train"))
    train, val = cache.take(split.train), cache.take(split.val)
    head = train_head(SPEC, train=train, val=val, num_classes=3, seed=0)
    logits, labels = answer_views(head.model, val, num_answered=len(FOUR))
    assert set(taken) == {"train"}
    assert run.record.tta_views == choose_views(logits, labels, FOUR)
    np.testing.assert_array_equal(labels, val.labels)


def test_the_chosen_views_are_averaged_on_the_test_split(cache, tmp_path):
    """They and no others, by name; without `--tta` the plain one alone."""
    run = train_run(cache, SPEC, seed=0, artifacts_dir=tmp_path)
    record = run.record.model_copy(
        update={"tta_views": ("plain", "scale12", "flip")}
    )
    (run.directory / "run.json").write_text(record.model_dump_json())
    run = load_run(run.directory)
    head, features = run.load_head(), cache.take(Selection("test")).features

    mean = evaluate(run, cache, is_averaged=True)
    alone = evaluate(run, cache)

    columns = [np.asarray(head(features[:, n])) for n in (0, 3, 1)]
    np.testing.assert_allclose(mean.logits, np.mean(columns, 0), atol=1e-5)
    np.testing.assert_allclose(alone.logits, columns[0], atol=1e-5)
    assert mean.answers.views == ("plain", "scale12", "flip")
    assert run.describe_views() == (
        "Views averaged: plain, scale12, flip; of 4, chosen on validation "
        "images."
    )


def test_a_run_of_before_averages_all(cache, tmp_path):
    """It says nothing of views; both that a cache had were averaged."""
    run = train_run(cache, SPEC, seed=0, artifacts_dir=tmp_path)
    record = run.record.model_dump(mode="json")
    del record["tta_views"]
    (run.directory / "run.json").write_text(json.dumps(record))

    assert load_run(run.directory).views(is_averaged=True) == FOUR
