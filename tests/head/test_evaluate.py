"""Tests for `head.evaluate`, `head.stitch` and `head.pictures`."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from embed.errors import PipelineError
from embed.errors import SourceError
from embed.extract import build_cache
from embed.origin import load_backbone_of
from embed.splits import Selection
from head.evaluate import evaluate
from head.evaluate import require_views
from head.evaluation_file import write_evaluation
from head.groups import find_groups
from head.pictures import draw_groups
from head.refit import train_run
from head.spec import HeadSpec
from head.stitch import stitch
from head.stitch import summarize


@pytest.fixture(name="run")
def _run(tiny_cache, tmp_path):
    """A finished run on the tiny cache."""
    spec = HeadSpec(epochs=20, learning_rate=0.05)
    return train_run(
        tiny_cache, spec, seed=0, artifacts_dir=tmp_path / "artifacts"
    )


def test_accuracy_is_counted_on_the_test_split(run, tiny_cache):
    """Top-1 is the share of test rows whose largest logit is right."""
    test = tiny_cache.take(Selection("test"))
    logits = np.asarray(run.load_head()(test.features[:, 0]))

    evaluation = evaluate(run, tiny_cache)

    expected = (logits.argmax(-1) == test.labels).mean()
    assert evaluation.metrics.top1 == expected
    assert evaluation.metrics.num_images == 12


def test_end_to_end_agrees_with_the_cache(run, tiny_cache):
    """From the pictures every logit is that from the cached features."""
    cached = evaluate(run, tiny_cache)

    whole = evaluate(run, tiny_cache, is_end_to_end=True)

    np.testing.assert_allclose(whole.logits, cached.logits, atol=1e-5)
    assert whole.metrics.top1 == cached.metrics.top1


@pytest.mark.parametrize("is_end_to_end", [False, True])
def test_tta_is_the_mean_over_both_views(run, tiny_cache, is_end_to_end):
    """The logits of image and mirror are averaged."""
    test = tiny_cache.take(Selection("test"))
    head = run.load_head()
    of_views = [np.asarray(head(test.features[:, view])) for view in (0, 1)]

    evaluation = evaluate(
        run, tiny_cache, is_mirrored_too=True, is_end_to_end=is_end_to_end
    )

    np.testing.assert_allclose(
        evaluation.logits, np.mean(of_views, axis=0), atol=1e-5
    )


def test_tta_needs_the_mirrored_view(tiny_request, tmp_path):
    """A cache of plain views is refused with the option to build another."""
    plain = build_cache(
        dataclasses.replace(tiny_request, views=("plain",)),
        artifacts_dir=tmp_path / "plain",
    ).cache

    with pytest.raises(PipelineError, match="--views flip"):
        require_views(plain, is_mirrored_too=True)


def test_a_picture_that_is_gone_is_named(run, tiny_cache, picture_folder):
    """End-to-end evaluation without a picture is one error."""
    next((picture_folder / "test" / "dog").glob("*")).unlink()

    with pytest.raises(SourceError, match="dog/"):
        evaluate(run, tiny_cache, is_end_to_end=True)


def test_groups_of_a_file_are_judged(run, tiny_cache, tmp_path):
    """Each group has the accuracy over its own images."""
    path = tmp_path / "groups.toml"
    path.write_text('pets = ["cat", "dog"]\n')

    groups = find_groups(tiny_cache.spec.class_names, path)

    evaluation = evaluate(run, tiny_cache, groups=groups)

    assert list(evaluation.groups) == ["all", "pets"]
    assert evaluation.groups["pets"].num_images == 8


def test_what_is_written_is_what_was_measured(run, tiny_cache):
    """The accuracy can be recounted from the predictions."""
    evaluation = evaluate(run, tiny_cache)

    write_evaluation(evaluation, run.directory)

    with (run.directory / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    recounted = np.mean([row["true"] == row["predicted"] for row in rows])
    written = json.loads((run.directory / "evaluation.json").read_text())
    assert written["top1"] == evaluation.metrics.top1 == recounted
    assert written["groups"]["all"]["num_images"] == 12


def test_each_group_is_drawn(run, tiny_cache, tmp_path):
    """One picture a group lies beside the run."""
    path = tmp_path / "groups.toml"
    path.write_text('felines = ["cat"]\n')
    groups = find_groups(tiny_cache.spec.class_names, path)
    evaluation = evaluate(run, tiny_cache, groups=groups)

    paths = draw_groups(evaluation, groups, tiny_cache, run.directory)

    assert [p.name for p in paths] == ["group-all.png", "group-felines.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths)


def test_the_stitched_model_is_frozen_below_the_head(run, tiny_cache):
    """Of a stitched model only the head's parameters are trainable."""
    head = run.load_head()

    model = stitch(load_backbone_of(tiny_cache), head)

    assert "full_model" in summarize(model)
    assert len(model.trainable_variables) == len(head.trainable_variables)
