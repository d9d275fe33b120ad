"""Tests for `tune.search`."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import h5py
import pytest

from embed.cache import open_cache
from embed.console import Console
from embed.errors import CorruptCacheError
from embed.errors import PipelineError
from embed.memory import format_size
from embed.spec import SplitSpec
from embed.splits import Selection
from embed.splits import split_train
from head.spec import RECIPES
from head.spec import load_spec
from head.training.train import train_head
from tests.stopping_console import StoppingConsole
from tune import space
from tune.folder import SearchFolder
from tune.results import load_search
from tune.spec import OracleName
from tune.trials import TrialStore

ROOT = Path(__file__).parents[2]


def without_seconds(result):
    """Returns the trial table less what two equal searches differ in."""
    return [trial.model_copy(update={"seconds": 0}) for trial in result.trials]


@pytest.mark.parametrize("oracle", get_args(OracleName))
def test_a_search_leaves_its_files(search, oracle):
    """Every oracle runs end to end on real training."""
    result = search(oracle=oracle, max_trials=2, max_epochs=2)

    best = result.trials[0]
    assert {path.name for path in result.path.iterdir()} >= {
        "best.json",
        "search.json",
        "search.png",
        "trials",
        "trials.csv",
    }
    assert [trial.status for trial in result.trials] == ["completed"] * 3
    winner = load_spec(result.best_path)
    assert winner.model_copy(update={"chosen_on": None}) == best.spec
    assert winner.chosen_on == result.summary.cache_spec
    assert result.summary.best_trial == best.trial_id
    assert result.summary.best_score == best.val_accuracy
    assert best.val_accuracy == max(t.val_accuracy for t in result.trials)
    assert best.spec.fingerprint == result.summary.spec.fingerprint


def test_a_refit_repeats_the_score(search, cache):
    """The best spec on the same rows and seed gives the scored accuracy."""
    result = search(max_trials=3, seed=3)
    split = split_train(cache.image_ids("train"))

    for trial in result.trials:
        refit = train_head(
            trial.spec,
            train=cache.take(split.train),
            val=cache.take(split.val),
            num_classes=3,
            seed=3,
        )
        score = refit.history["val_accuracy"][-1]
        assert score == pytest.approx(trial.val_accuracy)


def test_the_test_split_is_not_read(search, cache):
    """A search does not notice that no block of it can be read."""
    with h5py.File(cache.path, "r+") as file:
        file["test/features"][:] += 1
    broken = open_cache(cache.path)

    result = search(cache=broken, max_trials=1, max_epochs=1)

    assert result.summary.num_trials == 1
    with pytest.raises(CorruptCacheError):
        broken.take(Selection("test"))


@pytest.mark.usefixtures("train_at_once")
@pytest.mark.parametrize("oracle", ["random", "bayesian", "hyperband"])
def test_the_seed_decides(search, oracle):
    """Seed 0 equals itself and differs from seed 1."""
    first = search(oracle=oracle, seed=0)
    again = search(oracle=oracle, seed=0, is_overwrite=True)
    other = search(oracle=oracle, seed=1)

    assert without_seconds(first) == without_seconds(again)
    assert without_seconds(first) != without_seconds(other)


@pytest.mark.usefixtures("train_at_once")
def test_no_two_neighbouring_seeds_share_trials(search):
    """KerasTuner counts its seed up: seed 8 would repeat trials of seed 0."""
    specs = [
        {
            trial.spec
            for trial in search(seed=seed).trials
            if trial.trial_id != "reference"
        }
        for seed in (0, 1, 7, 8)
    ]

    assert len(set.union(*specs)) == sum(map(len, specs)) == 4 * 5


@pytest.mark.parametrize("oracle", get_args(OracleName))
def test_an_interrupted_search_goes_on(search, train_at_once, oracle):
    """It trains only what is left and ends with the table of a whole one."""
    whole = search(oracle=oracle, max_trials=7, max_epochs=9)
    num_whole = len(train_at_once)
    train_at_once.clear()

    with pytest.raises(KeyboardInterrupt):
        search(
            oracle=oracle,
            max_trials=7,
            max_epochs=9,
            is_overwrite=True,
            console=StoppingConsole(5),
        )
    resumed = search(
        oracle=oracle, max_trials=7, max_epochs=9, is_overwrite=True
    )

    assert len(train_at_once) == num_whole == 8
    assert without_seconds(resumed) == without_seconds(whole)


def test_a_killed_search_goes_on(search, cache, tmp_path):
    """`kill -9` costs no more than the trial that was going on."""
    options = ["--max-trials", "300", "--max-epochs", "1", "--cache"]
    with subprocess.Popen(
        [sys.executable, "-m", "tune", "search", *options, cache.path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        trials_dir = wait_for_trials(tmp_path / "artifacts", process)
        process.kill()
    store = TrialStore(trials_dir, trials_dir.with_name("states"))
    specs = {trial.trial_id: trial.spec for trial in store.records}

    with pytest.raises(KeyboardInterrupt):
        search(
            max_trials=300,
            max_epochs=1,
            parallel=16,
            console=StoppingConsole(1),
        )

    later = TrialStore(trials_dir, trials_dir.with_name("states"))
    assert len(later.records) == len(specs) + 1
    assert all(later.find(name, spec) for name, spec in specs.items())


def test_an_old_result_stands_until_the_new_one_is_there(search, train_at_once):
    """An interrupted `--overwrite` leaves the finished search as it was."""
    result = search()
    files = {p: p.read_bytes() for p in result.path.rglob("*") if p.is_file()}

    with pytest.raises(KeyboardInterrupt):
        search(is_overwrite=True, console=StoppingConsole(3))

    assert {path: path.read_bytes() for path in files} == files
    assert without_seconds(search()) == without_seconds(result)
    assert len(train_at_once) == 6 + 3


@pytest.mark.usefixtures("train_at_once")
def test_a_swap_that_was_killed_half_way_is_mended(search):
    """The older result is back when the newer one was not yet in place."""
    result = search()
    building = result.path.parent / ".building" / result.path.name
    result.path.rename(building.with_name(building.name + ".old"))

    again = search()

    assert without_seconds(again) == without_seconds(result)
    assert again.path == result.path


@pytest.mark.usefixtures("train_at_once")
def test_two_processes_do_not_do_the_same_search(search):
    """The second one is told to wait, and disturbs nothing."""
    folder = search(max_trials=1, max_epochs=1).path

    with (
        SearchFolder(folder.parent, folder.name).lock(),
        pytest.raises(PipelineError, match="Wait until it has finished"),
    ):
        search(max_trials=1, max_epochs=1, is_overwrite=True)

    assert search(max_trials=1, max_epochs=1).path == folder


def test_the_same_search_is_not_done_twice(search, train_at_once, capsys):
    """It is the newest then; `--overwrite` does it again."""
    first = search()
    os.utime(first.best_path, (0, 0))

    second = search(console=Console())

    assert len(train_at_once) == 6
    assert second == first
    assert second.best_path.stat().st_mtime > 0
    assert "was done already" in capsys.readouterr().err
    search(is_overwrite=True)
    assert len(train_at_once) == 12


@pytest.mark.usefixtures("train_at_once")
def test_a_search_of_an_older_version_is_one_error(search):
    """A summary without the spec of its cache says how to search anew."""
    path = search().path / "search.json"
    fields = json.loads(path.read_text())
    del fields["cache_spec"]
    path.write_text(json.dumps(fields))

    with pytest.raises(PipelineError, match="tune search --overwrite"):
        load_search(path.parent)


@pytest.mark.usefixtures("train_at_once")
def test_pictures_that_were_left_out_are_not_counted(search, make_cache):
    """A spec has all pictures of a data set, the cache those that are good."""
    splits = {
        split: SplitSpec(num_images=number + 2, digest="d" * 64)
        for split, number in (("train", 60), ("test", 30))
    }
    cache = make_cache("without.h5", splits=splits)

    whole, sampled = (search(cache=cache, rows=rows) for rows in (None, 30))

    assert whole.summary.num_images == 60
    assert load_search(sampled.path).summary.num_all_images == 60


def test_another_cache_is_another_search(search, make_cache, train_at_once):
    """Nothing of a search on other features is used, whatever its folder."""
    first = search()
    search(cache=make_cache("other.h5", seed=1))
    assert len(train_at_once) == 12

    third_cache = make_cache("third.h5", seed=2)
    third = search(cache=third_cache)
    foreign = third.path.parent / ".building" / third.path.name
    first.path.rename(foreign)
    train_at_once.clear()
    again = search(cache=third_cache, is_overwrite=True)

    assert len(train_at_once) == 6
    assert without_seconds(again) == without_seconds(third)


def test_our_own_bug_stops_the_search(search, monkeypatch):
    """It is not taken for a bad trial, and its traceback leads to it."""

    def planted_bug(*args, **kwargs):
        raise TypeError("planted")

    monkeypatch.setattr("tune.slot.build_head", planted_bug)

    with pytest.raises(TypeError, match="planted") as raised:
        search()

    assert raised.traceback[-1].name == "planted_bug"


def test_a_trial_that_diverges_fails_alone(search, monkeypatch):
    """It is recorded as failed, ranks last, and the search goes on."""
    monkeypatch.setitem(space.LEARNING_RATES, "none", 1e38)

    result = search(oracle="grid", max_trials=2, max_epochs=1)

    best, *_, last = result.trials
    assert [last.trial_id, last.status] == ["0", "failed"]
    assert "Lower the learning rate" in last.message
    assert last.val_accuracy is None
    assert best.status == "completed"
    assert result.summary.num_trials == 2


@pytest.mark.usefixtures("train_at_once")
def test_three_failures_in_a_row_are_no_end(search, diverging):
    """KerasTuner would stop there."""
    diverging.append(lambda spec: spec.normalization != "l2")

    result = search(max_trials=20)

    assert result.summary.num_trials == 20
    assert result.summary.reference_score is None
    assert result.trials[0].spec.normalization == "l2"


@pytest.mark.usefixtures("train_at_once")
def test_no_winner_is_an_error(search, diverging, tmp_path):
    """Where every trial failed there is no best.json, and it is said why."""
    diverging.append(lambda spec: True)

    with pytest.raises(PipelineError, match="embed info"):
        search()

    assert not list((tmp_path / "artifacts").rglob("best.json"))


@pytest.mark.usefixtures("train_at_once")
def test_the_user_is_never_worse_off_than_with_the_recipe(search):
    """The reference recipe is in the table and wins where it is best."""
    results = [search(seed=seed, max_trials=1) for seed in range(6)]

    for result in results:
        [reference] = [t for t in result.trials if t.is_reference]
        recipe = reference.spec.model_copy(update={"fingerprint": None})
        assert recipe == RECIPES["reference"]
        assert result.summary.reference_score == reference.val_accuracy
        assert result.summary.best_score >= reference.val_accuracy
    assert {r.summary.best_trial for r in results} == {"0", "reference"}


@pytest.mark.usefixtures("train_at_once")
def test_the_table_is_best_first(search):
    """The CSV has every field of every trial, ranked."""
    result = search()

    with (result.path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert [row["trial_id"] for row in rows] == [
        trial.trial_id for trial in result.trials
    ]
    assert {*RECIPES["reference"].model_dump()} <= rows[0].keys()
    assert [int(row["rank"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    scores = [float(row["val_accuracy"]) for row in rows]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.usefixtures("train_at_once")
def test_baselines_are_run_and_kept(search):
    """They are in the result and in the CSV, and change no trial."""
    without = search()

    result = search(has_baselines=True, is_overwrite=True)

    names = {baseline.name for baseline in result.baselines}
    assert names == {"ridge", "logistic", "nearest_mean", "knn"}
    assert load_search(result.path).baselines == result.baselines
    with (result.path / "trials.csv").open() as file:
        ids = {row["trial_id"] for row in csv.DictReader(file)}
    assert ids == names | {trial.trial_id for trial in result.trials}
    assert without.path == result.path
    assert without.baselines == []
    assert without_seconds(result) == without_seconds(without)


@pytest.mark.usefixtures("train_at_once")
def test_a_baseline_is_never_the_winner(search, make_cache, capsys):
    """`best.json` is a head; it is said that a baseline is right on more."""
    cache = make_cache("larger.h5", num_train=300)

    result = search(
        cache=cache, has_baselines=True, max_trials=1, console=Console()
    )

    best = max(baseline.val_accuracy for baseline in result.baselines)
    assert best > result.summary.best_score
    winner = load_spec(result.best_path)
    assert winner.model_copy(update={"chosen_on": None}) == (
        result.trials[0].spec
    )
    assert "A baseline beats all trials" in capsys.readouterr().err


@pytest.mark.usefixtures("train_at_once")
def test_a_search_that_goes_on_does_not_run_baselines_again(search, capsys):
    """What an interrupted search found of them is kept."""
    with pytest.raises(KeyboardInterrupt):
        search(has_baselines=True, console=StoppingConsole(2))

    result = search(has_baselines=True, console=Console())

    assert len(result.baselines) == 4
    assert "Baseline" not in capsys.readouterr().err


def test_baselines_are_added_to_a_finished_search(search, train_at_once):
    """No trial is trained again; they are rows of its table then."""
    search()
    num_trained = len(train_at_once)

    result = search(has_baselines=True)

    assert len(result.baselines) == 4
    assert len(train_at_once) == num_trained
    assert search().baselines == result.baselines
    table = (result.path / "trials.csv").read_text()
    assert table.count(",baseline,") == 4


def test_the_memory_that_folds_need_is_said(search):
    """Who follows the advice gets on: to a vector, then to larger batches."""
    options = {"folds": 3, "max_trials": 1, "max_epochs": 1}
    limit = 100
    for _ in ("vector", "batch of 32", "batch of 64"):
        received = re.escape(f"Received: {format_size(limit)}. Give more")
        with pytest.raises(PipelineError, match=received) as error:
            search(memory_limit=limit, **options)
        [least] = re.findall(r"`--memory-limit (\d+)`", str(error.value))
        assert int(least) > limit
        limit = int(least)

    assert search(memory_limit=limit, **options).trials


def test_a_search_that_streams_runs_no_baselines(search, make_cache, capsys):
    """They need all rows at once; it is said that there are none."""
    result = search(
        cache=make_cache("larger.h5", num_train=300),
        max_trials=1,
        max_epochs=1,
        memory_limit=17_000,
        has_baselines=True,
        console=Console(),
    )

    assert result.baselines == []
    assert not (result.path / "baselines.json").exists()
    assert "No baselines" in capsys.readouterr().err


@pytest.mark.usefixtures("train_at_once")
@pytest.mark.parametrize("parallel", [3, 16])
def test_hyperband_trains_the_best_for_longer(search, parallel):
    """Its rungs raise the epochs of good trials up to the largest number."""
    result = search(
        oracle="hyperband", max_trials=9, max_epochs=60, parallel=parallel
    )

    epochs = [t.spec.epochs for t in result.trials if not t.is_reference]

    assert sorted(epochs) == [7, 7, 7, 20, 20, 20, 60, 60, 60]


def test_too_few_images_are_refused(search, make_cache):
    """A cache without validation images is one error with the way out."""
    with pytest.raises(PipelineError, match="build-cache"):
        search(cache=make_cache("few.h5", num_train=2))


@pytest.mark.usefixtures("train_at_once")
def test_a_grid_that_is_cut_short_says_so(search, capsys):
    """Of 3,072 points only the first few are tried, without a silent end."""
    search(oracle="grid", console=Console())

    assert (
        f"--max-trials {space.count_grid_points()}" in capsys.readouterr().err
    )


def test_trials_are_scored_on_folds(search, cache):
    """Every image of the train split counts once, with each of three heads."""
    result = search(max_trials=2, max_epochs=2, folds=3)

    num_images = cache.num_images["train"]
    for trial in result.trials:
        hits = trial.val_accuracy * num_images
        assert hits == pytest.approx(round(hits))
    assert result.summary.spec.folds == 3


@pytest.mark.usefixtures("train_at_once")
def test_baselines_are_scored_on_the_same_folds(search, cache):
    """Their accuracies are shares of all training images, as the trials'."""
    result = search(max_trials=1, max_epochs=1, folds=3, has_baselines=True)

    assert len(result.baselines) == 4
    for baseline in result.baselines:
        num_right = baseline.val_accuracy * cache.num_images["train"]
        assert num_right == pytest.approx(round(num_right), abs=1e-6)


def test_more_folds_than_images_are_refused(search, make_cache):
    """It says how many there are in each, and what to do."""
    few = make_cache("few.h5", num_train=9)

    with pytest.raises(PipelineError, match="fewer with `--folds`"):
        search(cache=few, folds=30)


def test_the_best_heads_are_averaged_on_request(search, train_at_once):
    """`best.json` has them best first; the search is not done again."""
    best, second, third = search().trials[:3]
    num_trained = len(train_at_once)

    result = search(ensemble=3)

    expected = [trial.spec for trial in (best, second, third)]
    assert members_of(result) == expected
    assert len(train_at_once) == num_trained
    assert members_of(search()) == expected
    assert members_of(search(ensemble=1)) == expected[:1]


def test_no_failed_head_is_averaged(search, train_at_once, diverging):
    """Fewer heads are averaged than were asked for."""
    diverging.append(lambda spec: spec.normalization != "none")

    result = search(ensemble=50, max_trials=6)

    sound = [t for t in result.trials if t.status == "completed"]
    assert members_of(result) == [trial.spec for trial in sound]
    assert len(sound) < len(result.trials) == len(train_at_once)


@pytest.mark.usefixtures("train_at_once")
def test_hyperband_forgets_its_states(search):
    """They are there while it runs alone."""
    result = search(oracle="hyperband", max_trials=9, max_epochs=60)

    assert not (result.path / "states").exists()


def members_of(result):
    """Returns the heads of a `best.json`, best first."""
    members = load_spec(result.best_path).members
    return [m.model_copy(update={"chosen_on": None}) for m in members]


def wait_for_trials(artifacts_dir, process):
    """Waits until a search has finished two trials; returns their folder."""
    while process.poll() is None:
        for path in artifacts_dir.glob("searches/.building/*/trials/001.json"):
            return path.parent
        time.sleep(0.05)
    raise AssertionError(f"The search ended by itself: {process.returncode}")
