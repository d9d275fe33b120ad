"""Tests for `tune.cli`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tune import cli
from tune.spec import OracleName

ROOT = Path(__file__).parents[2]
HELP = """
import contextlib, sys
from tune import cli
with contextlib.suppress(SystemExit):
    cli.app(sys.argv[1:], prog_name="python -m tune")
heavy = {"tensorflow", "keras", "keras_tuner", "numpy", "h5py", "sklearn",
         "matplotlib", "tune.spec"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(name="run")
def _run(cache, tmp_path, capfd):
    """Runs a command; returns its exit code, stdout and stderr."""

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli.app([*words, "--artifacts", str(tmp_path / "artifacts")])
        return ended.value.code, *capfd.readouterr()

    return run


@pytest.mark.usefixtures("train_at_once")
def test_search_answers_one_object(run, cache):
    """Stdout is JSON alone; the cache that was found is named on stderr."""
    code, out, err = run("search", "--max-trials", "3", "--json")

    answer = json.loads(out)
    assert code == 0
    assert answer["num_trials"] == 3
    assert 0 <= answer["best_score"] <= 1
    assert Path(answer["best_spec"]).parent == Path(answer["search"])
    assert Path(answer["best_spec"]).is_file()
    assert answer["seconds"] > 0
    assert str(cache.path) in err


def test_a_search_that_streams_finds_the_same(run, make_cache):
    """Above the limit every trial has the score that it has in memory."""
    path = make_cache("larger.h5", num_train=300).path
    search = ["search", "--cache", str(path), "--max-trials", "2", "--json"]
    search += ["--max-epochs", "2", "--overwrite", "--memory-limit"]

    _, held, _ = run(*search, "1G")
    code, out, err = run(*search, "17K")

    assert code == 0
    assert "its 19.2 kB are more than the memory limit of 17.0 kB" in err
    answer, expected = json.loads(out), json.loads(held)
    for name in ("search", "best_trial", "best_score", "reference_score"):
        assert answer[name] == expected[name]


@pytest.mark.usefixtures("train_at_once")
def test_results_are_best_first(run, cache):
    """By default of the newest search; by cache or folder when named."""
    _, out, _ = run("search", "--max-trials", "3", "--json")
    folder = json.loads(out)["search"]

    answers = [
        json.loads(run("results", "--json", *words)[1])
        for words in ([], ["--cache", str(cache.path)], [folder])
    ]

    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["search"] == folder
    scores = [trial["val_accuracy"] for trial in answers[0]["trials"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 4
    assert answers[0]["trials"][0]["rank"] == 1


@pytest.mark.usefixtures("train_at_once")
def test_people_get_a_table(run):
    """Without `--json` the trials are shown, and where the best one lies."""
    _, out, _ = run("search", "--max-trials", "3")

    assert "reference" in out
    assert "best.json" in out


@pytest.mark.usefixtures("train_at_once")
def test_baselines_are_in_the_answers(run):
    """Of `search` and `results`, and in the table for people."""
    _, out, _ = run("search", "--max-trials", "2", "--json")
    _, later, _ = run("results", "--json")
    _, table, _ = run("results")

    answer = json.loads(out)
    names = [baseline["name"] for baseline in answer["baselines"]]
    assert sorted(names) == ["knn", "logistic", "nearest_mean", "ridge"]
    assert answer["best_baseline"] == names[0]
    assert json.loads(later)["baselines"] == answer["baselines"]
    assert json.loads(later)["best_baseline"] == names[0]
    assert "nearest mean" in table


@pytest.mark.usefixtures("train_at_once")
def test_seeds_are_in_the_answers(run):
    """Mean and range of the best trials, of `search` and of `results`."""
    _, out, _ = run("search", "--max-trials", "2", "--seeds", "3", "--json")
    _, later, _ = run("results", "--json")

    seeds = json.loads(out)["seeds"]
    assert [scores["num_seeds"] for scores in seeds] == [3, 3, 3]
    assert all(s["min"] <= s["mean"] <= s["max"] for s in seeds)
    assert json.loads(later)["seeds"] == seeds


@pytest.mark.usefixtures("train_at_once")
def test_baselines_can_be_left_out(run):
    """`--no-baselines` is the same search without them."""
    _, out, _ = run("search", "--max-trials", "2", "--no-baselines", "--json")

    answer = json.loads(out)
    assert answer["baselines"] == []
    assert answer["best_baseline"] is None


def test_no_search_is_one_line(run):
    """It names the command that makes one."""
    code, out, err = run("results")

    assert (code, out) == (1, "")
    assert "python -m tune search" in err
    assert err.startswith("error: ")


@pytest.mark.usefixtures("train_at_once")
def test_search_of_another_cache_is_not_shown(run, search, make_cache):
    """`--cache` takes searches on that cache alone."""
    other = make_cache("other.h5", seed=1)
    search(max_trials=1, max_epochs=1)

    code, _, err = run("results", "--cache", str(other.path))

    assert code == 1
    assert "splits.train.digest=" in err
    assert f"`python -m tune search --cache {other.path}`" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--oracle", "best"],
        ["--max-trials", "0"],
        ["--max-epochs", "0"],
        ["--workers", "0"],
        ["--seed", "-1"],
        ["--memory-limit", "0"],
        ["--memory-limit", "8X"],
    ],
)
def test_what_is_no_choice_is_a_usage_error(run, words):
    """Exit code 2, before anything is opened."""
    code, out, _ = run("search", *words)

    assert (code, out) == (2, "")


def test_choices_are_those_of_the_spec():
    """The command repeats them, so that `--help` need not import pydantic."""
    assert cli.OracleName == OracleName


@pytest.mark.parametrize("words", [[], ["search"], ["results"], ["compare"]])
def test_help_loads_nothing_heavy(words):
    """It says what to type, and at once: what takes seconds is not loaded."""
    done = subprocess.run(
        [sys.executable, "-c", HELP, *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == "[]\n"
    assert "python -m tune" in done.stdout
    assert not words or "Example:" in done.stdout
