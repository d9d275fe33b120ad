"""Tests for `head.predicting.cached`: answers without a picture."""

import json

import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.building.request import BuildRequest
from embed.errors import MissingArtifactError
from embed.errors import SourceError
from embed.errors import StaleCacheError
from embed.extract import build_cache
from embed.sources import SourceRequest
from head import cli
from head.choice import find_or_train_run
from head.predicting.cached import find_run_for
from head.predicting.cached import predict_cached
from head.predicting.exported import find_model
from head.predicting.neighbours import TrainingPictures
from tests.conftest import TINY_SIZE
from tests.conftest import draw_cache


@pytest.fixture(name="unlabelled", scope="module")
def _unlabelled(tiny_export, tiny_module_dir, tmp_path_factory):
    """A cache of the test pictures of the export, without their labels."""
    return build_cache(
        BuildRequest(
            source=SourceRequest(
                dataset=f"folder:{tiny_export.pictures / 'test'}",
                label_from="none",
            ),
            backbone=BackboneRequest(
                handle=f"hub:{tiny_module_dir}", image_size=TINY_SIZE
            ),
            views=("plain",),
            engine="tensorflow",
        ),
        artifacts_dir=tmp_path_factory.mktemp("unlabelled"),
    ).cache


def test_answers_are_those_of_the_run(tiny_export, unlabelled):
    """For pictures without labels too, and whatever their number of views."""
    run = find_run_for(tiny_export.artifacts_dir, None, unlabelled)

    answers = list(predict_cached(run, unlabelled))

    assert run.directory == tiny_export.run.directory
    ids = unlabelled.image_ids("unlabelled")
    assert tuple(answer.path for answer in answers) == ids
    np.testing.assert_array_equal(
        [answer.probabilities for answer in answers], tiny_export.expected()
    )


def test_both_splits_of_a_cache_with_labels(tiny_export):
    """The path of an answer says of which it is."""
    answers = predict_cached(tiny_export.run, tiny_export.cache)

    paths = [answer.path for answer in answers]
    assert paths[0] == "train/cat/00.jpg"
    assert paths[-1] == "test/été/03.png"
    assert len(set(paths)) == 42


def test_other_features_are_refused(tiny_export, tmp_path):
    """By the fields in which they differ, of which the pictures are none."""
    other = draw_cache(tmp_path / "other.h5")

    for run_dir in (None, tiny_export.run.directory):
        with pytest.raises(StaleCacheError, match="backbone=hub") as caught:
            find_run_for(tiny_export.artifacts_dir, run_dir, other)
        assert "dataset=" not in str(caught.value)
    with pytest.raises(MissingArtifactError, match="There is no run"):
        find_run_for(tmp_path, None, other)


def test_pictures_without_labels_are_neighbours(tiny_export, unlabelled):
    """The most similar one of a picture is itself; it has no class."""
    exported = find_model(tiny_export.artifacts_dir, None)
    features = exported.find_cache(tiny_export.artifacts_dir, unlabelled.path)
    training = TrainingPictures(features)

    (answer, *_) = predict_cached(
        tiny_export.run, unlabelled, training=training, num_neighbours=2
    )

    nearest = answer.neighbours[0]
    assert nearest.image_id == answer.path == "cat/00.jpg"
    assert str(nearest) == "cat/00.jpg (1.00)"
    assert nearest.to_payload()["class"] is None


def test_neighbours_of_other_features_are_refused(tiny_export, tmp_path):
    """They have no labels to be told by, but a backbone."""
    other = draw_cache(tmp_path / "other.h5", class_names=())
    exported = find_model(tiny_export.artifacts_dir, None)

    with pytest.raises(StaleCacheError, match="backbone=hub"):
        exported.find_cache(tiny_export.artifacts_dir, other.path)


def test_no_head_is_trained_without_labels(tiny_export, unlabelled):
    """Nor judged, exported or reported on."""
    with pytest.raises(SourceError, match=r"no labels.*`--cache PATH`"):
        find_or_train_run(
            tiny_export.artifacts_dir,
            None,
            unlabelled.path,
            seed=None,
            console=None,
        )


def call(words, capfd):
    """Runs `head predict`: its exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.app(["predict", *map(str, words)])
    return ended.value.code, *capfd.readouterr()


def test_command_answers_without_pictures(tiny_export, unlabelled, capfd):
    """One object says run, answers and neighbours with their labels."""
    code, out, _ = call(
        [
            *("--cache", unlabelled.path, "--neighbours", 1, "--json"),
            *("--artifacts", tiny_export.artifacts_dir),
        ],
        capfd,
    )

    answer = json.loads(out)
    assert code == 0
    assert answer["run"] == str(tiny_export.run.directory)
    best = tiny_export.expected().argmax(-1)
    names = tiny_export.cache.spec.class_names
    assert [p["class"] for p in answer["predictions"]] == [
        names[label] for label in best
    ]
    assert {p["neighbours"][0]["class"] for p in answer["predictions"]} <= set(
        names
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--cache", "x.h5", "--model", "y"],
        ["--cache", "x.h5", "--engine", "litert"],
        ["x.jpg", "--run", "y"],
        ["x.jpg", "--cache", "x.h5"],
        ["--cache", "x.h5", "--memory-limit", "1G"],
    ],
)
def test_options_that_do_nothing_are_errors_of_usage(words, capfd):
    """Before anything is opened."""
    code, out, err = call(words, capfd)

    assert (code, out) == (2, "")
    assert "Usage" in err
