"""Tests for `head.evaluating.seeds`."""

import dataclasses
import functools
import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from embed.artifacts import newest_first
from embed.console import Console
from embed.errors import PipelineError
from embed.seeds import MAX_SEED
from head import refit
from head.evaluating import evaluate
from head.evaluating.groups import GroupsError
from head.evaluating.judge import judge_run
from head.evaluating.seeds import judge_seeds
from head.refit import train_run
from head.run import find_run
from head.run import load_run
from head.spec import HeadSpec

SPEC = HeadSpec(epochs=2, learning_rate=0.05, batch_size=8)
HOW = {
    "is_averaged": True,
    "groups_file": None,
    "console": Console(is_quiet=True),
}


@pytest.fixture(name="artifacts_dir", scope="module")
def _artifacts_dir(tmp_path_factory):
    """Where caches and runs lie."""
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "caches").mkdir()
    return folder


@pytest.fixture(name="cache", scope="module")
def _cache(draw_cache, artifacts_dir):
    """Points of three classes that overlap; there are no pictures of them."""
    return draw_cache(artifacts_dir / "caches" / "points.h5")


@pytest.fixture(name="run", scope="module")
def _run(artifacts_dir, cache):
    """A run of seed 3."""
    return train_run(cache, SPEC, seed=3, artifacts_dir=artifacts_dir)


@pytest.fixture(name="newest", scope="module")
def _newest(run, artifacts_dir, cache):
    """A run that was made after it, of another spec."""
    other = HeadSpec(epochs=1)
    return train_run(cache, other, seed=0, artifacts_dir=artifacts_dir)


@pytest.fixture(name="judge", scope="module")
def _judge(artifacts_dir, cache):
    """Judges some seeds of a run, from its own on."""
    return functools.partial(
        judge_seeds, cache=cache, artifacts_dir=artifacts_dir, **HOW
    )


@pytest.fixture(name="payload", scope="module")
def _payload(run, newest, judge):
    """What was said of three seeds."""
    return judge(run, num_seeds=3)


@pytest.fixture(name="others", scope="module")
def _others(payload):
    """The runs of seeds 4 and 5."""
    return [load_run(Path(path)) for path in payload["seeds"]["runs"][1:]]


def test_mean_and_range_are_those_of_the_runs(
    payload, run, others, cache, monkeypatch
):
    """Each figure is that of the runs one by one, which are all there."""
    monkeypatch.setattr(evaluate, "evaluate", None)  # Nothing is measured.

    alone = [
        judge_run(one, cache, is_end_to_end=False, is_drawn=False, **HOW)
        for one in (run, *others)
    ]

    assert [one.record.seed for one in (run, *others)] == [3, 4, 5]
    assert payload["seeds"]["seeds"] == [3, 4, 5]
    assert payload["seeds"]["num_seeds"] == 3
    for path in (
        *(("top1",), ("top5",), ("mean_per_class",), ("macro_f1",)),
        *(("nll",), ("ece",), ("groups", "all", "top1")),
        *(("calibrated", "temperature"), ("calibrated", "nll")),
        *(("calibrated", "ece"), ("tta", "differences", "top1")),
    ):
        figures, found = alone, payload["seeds"]
        for key in path:
            figures = [figure[key] for figure in figures]
            found = found[key]
        assert found == {
            "mean": statistics.fmean(figures),
            "min": min(figures),
            "max": max(figures),
        }
    assert len({figure["nll"] for figure in alone}) == 3
    assert payload["top1"] == alone[0]["top1"]


def test_the_others_are_what_train_would_have_trained(others, cache, tmp_path):
    """To the bit, under the name by which it finds them again."""
    trained = train_run(cache, SPEC, seed=4, artifacts_dir=tmp_path)

    assert others[0].directory.name == trained.directory.name
    for weights, expected in zip(
        others[0].load_head().get_weights(),
        trained.load_head().get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(weights, expected)


def test_the_newest_run_stays_the_newest(run, newest, others, artifacts_dir):
    """Commands that are given none go on taking what they took."""
    assert find_run(artifacts_dir, None).directory == newest.directory

    records = newest_first(artifacts_dir, "runs/*/run.json")
    directories = [path.parent for path in records]
    places = [directories.index(one.directory) for one in (run, *others)]
    assert places[0] < min(places[1:])


def test_what_was_measured_lies_beside_the_run(payload, run):
    """`evaluation.json` has it too, and the evaluation is whole."""
    written = json.loads((run.directory / "evaluation.json").read_text())

    assert written["seeds"] == payload["seeds"]
    assert written["top1"] == payload["top1"]


def test_no_head_is_trained_twice(payload, run, judge, monkeypatch):
    """Asked for fewer, it answers from what is there."""
    monkeypatch.setattr(refit, "_train_and_write", None)

    fewer = judge(run, num_seeds=2)

    assert fewer["seeds"]["runs"] == payload["seeds"]["runs"][:2]
    assert fewer["seeds"]["nll"] != payload["seeds"]["nll"]


def test_seeds_go_round(run, judge):
    """After the largest comes 0."""
    record = run.record.model_copy(update={"seed": MAX_SEED})
    last = dataclasses.replace(run, record=record)

    answer = judge(last, num_seeds=2)

    assert answer["seeds"]["seeds"] == [MAX_SEED, 0]


@pytest.mark.parametrize("problem", ["groups", "views"])
def test_what_cannot_be_judged_is_not_trained(problem, draw_cache, tmp_path):
    """A misspelt group and a missing view are found before all else."""
    cache = draw_cache(tmp_path / "plain.h5", views=("plain",))
    run = train_run(cache, SPEC, seed=0, artifacts_dir=tmp_path)
    groups_file = tmp_path / "groups.toml"
    groups_file.write_text('pets = ["cow"]\n')
    is_of_groups = problem == "groups"
    how = HOW | {
        "groups_file": groups_file if is_of_groups else None,
        "is_averaged": not is_of_groups,
    }

    with pytest.raises(PipelineError) as error:
        judge_seeds(run, cache, num_seeds=2, artifacts_dir=tmp_path, **how)

    assert isinstance(error.value, GroupsError) == is_of_groups
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 1
