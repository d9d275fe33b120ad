"""Tests for `evaluate` and `pictures` of a run, and for `head.stitch`."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics import f1_score
from sklearn.metrics import log_loss

from embed.errors import PipelineError
from embed.errors import SourceError
from embed.extract import build_cache
from embed.origin import load_backbone_of
from embed.splits import Selection
from head.evaluating.evaluate import evaluate
from head.evaluating.evaluate import require_views
from head.evaluating.evaluation_file import write_evaluation
from head.evaluating.groups import find_groups
from head.evaluating.pictures import draw_groups
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
        run, tiny_cache, is_averaged=True, is_end_to_end=is_end_to_end
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
        require_views(plain, is_averaged=True)


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


@pytest.mark.parametrize("is_averaged", [False, True])
def test_what_is_written_is_what_was_measured(run, tiny_cache, is_averaged):
    """scikit-learn says of the predictions what the evaluation says.

    To the last digit, from either file, before calibration and after.
    """
    evaluation = evaluate(run, tiny_cache, is_averaged=is_averaged)

    write_evaluation(evaluation, run.directory)

    payload = json.loads((run.directory / "evaluation.json").read_text())
    with np.load(run.directory / "predictions.npz") as arrays:
        written = dict(arrays)
    with (run.directory / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    in_csv = [
        [int(row[name]) for row in rows]
        for name in ("label", "predicted_label")
    ]
    for labels, predicted in (
        (written["labels"], written["predicted"]),
        in_csv,
    ):
        assert payload["top1"] == accuracy_score(labels, predicted)
        mean = balanced_accuracy_score(labels, predicted)
        assert payload["mean_per_class"] == mean
        macro_f1 = f1_score(labels, predicted, average="macro")
        assert payload["macro_f1"] == macro_f1
    for of, name in (
        (payload, "probabilities"),
        (payload["calibrated"], "calibrated_probabilities"),
    ):
        assert of["nll"] == log_loss(written["labels"], written[name])
    assert payload == json.loads(json.dumps(evaluation.to_payload()))


def test_both_files_of_predictions_say_the_same(run, tiny_cache):
    """Image by image, in words and in numbers."""
    evaluation = evaluate(run, tiny_cache)

    write_evaluation(evaluation, run.directory)

    with np.load(run.directory / "predictions.npz") as arrays:
        written = dict(arrays)
    with (run.directory / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = written["class_names"]
    for number, row in enumerate(rows):
        label, first = written["labels"][number], written["predicted"][number]
        assert row["image_id"] == written["image_ids"][number]
        assert (row["true"], row["predicted"]) == (names[label], names[first])
        probability = written["probabilities"][number, first]
        assert float(row["probability"]) == probability
    assert tuple(names) == tiny_cache.spec.class_names
    np.testing.assert_array_equal(written["logits"], evaluation.logits)


def test_predictions_need_no_temperature(run, tiny_cache):
    """Of a run that has none there are no calibrated probabilities."""
    record = run.record.model_copy(update={"temperature": None})
    run = dataclasses.replace(run, record=record)

    write_evaluation(evaluate(run, tiny_cache), run.directory)

    with np.load(run.directory / "predictions.npz") as arrays:
        assert "probabilities" in arrays
        assert "calibrated_probabilities" not in arrays


def test_one_view_is_the_same_alone_and_in_a_comparison(run, tiny_cache):
    """`--tta` compares with what is said without it, to the last digit."""
    alone = evaluate(run, tiny_cache)

    both = evaluate(run, tiny_cache, is_averaged=True)

    assert both.comparison.one_view == alone.metrics
    assert alone.comparison is None
    assert both.answers.temperature == run.record.temperature


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
