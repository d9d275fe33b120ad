"""Tests for `head.cli`."""

import json
import re

import pytest

from embed.splits import Selection
from head import cli
from head.run import load_run
from head.spec import HeadSpec


@pytest.fixture(name="run")
def _run(tiny_cache, tmp_path, capfd):
    """Runs a command on the tiny cache: its exit code, stdout and stderr."""

    def run(*words):
        where = ["--cache", tiny_cache.path, "--artifacts", tmp_path / "out"]
        with pytest.raises(SystemExit) as ended:
            cli.app([*words, *map(str, where)])
        return ended.value.code, *capfd.readouterr()

    return run


@pytest.fixture(name="spec_path")
def _spec_path(tmp_path):
    """A spec whose batches fit into 512 bytes."""
    path = tmp_path / "spec.json"
    path.write_text(HeadSpec(epochs=3, batch_size=4).to_json())
    return path


def test_a_cache_above_the_limit_is_streamed(run, spec_path, tmp_path):
    """`head train` says so and why, and leaves the run of any other limit."""
    train = ["train", "--spec", str(spec_path), "--json"]

    code, out, err = run(*train, "--memory-limit", "600")
    _, same, said = run(*train, "--memory-limit", "1G", "--overwrite")

    assert code == 0
    assert "its 960 bytes are more than the memory limit of 600 bytes" in err
    assert "its 960 bytes are within the memory limit of 1.0 GB" in said
    answer, expected = json.loads(out), json.loads(same)
    assert answer["run"] == expected["run"]
    assert answer["val_accuracy"] == expected["val_accuracy"]
    assert load_run(tmp_path / answer["run"]).record.num_train > 0


def test_a_limit_that_is_too_small_is_one_error(run, spec_path):
    """It names the least that would do."""
    code, out, err = run(
        "train", "--spec", str(spec_path), "--memory-limit", "511"
    )

    assert (code, out) == (1, "")
    assert "--memory-limit 512" in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("command", ["train", "evaluate", "export-full-model"])
@pytest.mark.parametrize("size", ["0", "8X", "-1", "much"])
def test_what_is_no_size_is_a_usage_error(run, command, size):
    """Exit code 2, with what a size looks like."""
    code, out, err = run(command, "--memory-limit", size)

    assert (code, out) == (2, "")
    assert "500M" in err


def test_an_export_trains_within_the_limit(run, spec_path, tiny_cache):
    """`export-full-model` of another seed streams as `train` does."""
    run("train", "--spec", str(spec_path), "--memory-limit", "600")

    code, out, err = run(
        "export-full-model", "--seed", "1", "--memory-limit", "600", "--json"
    )

    assert code == 0
    assert "streams from the cache" in err
    num_images = len(tiny_cache.take(Selection("train")))
    assert json.loads(out)["parity"]["num_images"] == num_images


def test_training_an_ensemble_names_what_its_members_do(run, tmp_path):
    """The table for people has them beside the accuracy of the whole."""
    path = tmp_path / "spec.json"
    spec = HeadSpec(epochs=2, others=(HeadSpec(epochs=1), HeadSpec(epochs=3)))
    path.write_text(spec.to_json())

    code, out, _ = run("train", "--spec", str(path))

    assert code == 0
    assert re.search(r"mean of 3 heads: ([\d.]+%, ){2}[\d.]+%$", out, re.M)


def test_training_says_which_views_it_chose(
    draw_cache, tmp_path, spec_path, capfd
):
    """Of two there is no choice, and nothing is said."""
    for views in (("plain", "flip", "center"), ("plain", "flip")):
        cache = draw_cache(tmp_path / f"{len(views)}.h5", views=views)
        words = ["train", "--spec", str(spec_path), "--cache", str(cache.path)]
        words += ["--artifacts", str(tmp_path / cache.fingerprint)]

        cli.app(words, standalone_mode=False)
        text = capfd.readouterr().out
        cli.app([*words, "--json", "--overwrite"], standalone_mode=False)
        payload = json.loads(capfd.readouterr().out)

        run = load_run(tmp_path / payload["run"])
        assert payload["tta_views"] == list(run.record.tta_views)
        is_said = f"\n  {run.describe_views()} `--tta`" in text
        assert is_said == (len(views) > 2)


def test_an_ensemble_of_ensembles_is_one_error(run, tmp_path):
    """It names the file, the member and the remedy."""
    path = tmp_path / "spec.json"
    path.write_text('{"others": [{}, {"others": [{}]}]}')

    code, out, err = run("train", "--spec", str(path))

    assert (code, out) == (1, "")
    line = err.splitlines()[-1]
    assert str(path) in line
    assert "others[1] has others of its own" in line


def test_evaluate_says_all_of_it_in_words_and_in_json(run, spec_path, tmp_path):
    """The table has the numbers of `--json`, those of other seeds as well.

    They are trained within the limit on memory.
    """
    run("train", "--spec", str(spec_path))

    words = ["evaluate", "--tta", "--seeds", "2", "--memory-limit", "600"]
    code, out, err = run(*words, "--json")
    _, table, _ = run(*words)

    assert code == 0
    assert "Training with seed 1, 1 of 1." in err
    assert "streams from the cache" in err
    payload = json.loads(out)
    assert payload["seeds"]["seeds"] == [0, 1]
    for share in (
        payload["top1"],
        payload["mean_per_class"],
        payload["macro_f1"],
        payload["ece"],
        payload["calibrated"]["ece"],
        payload["seeds"]["top1"]["mean"],
    ):
        assert f" {share:.2%}" in table
    for value in (payload["nll"], payload["calibrated"]["nll"]):
        assert f" {value:.4f}" in table
    gain = 100 * payload["tta"]["differences"]["top1"]
    assert f" {gain:+.2f} points" in table
    assert all(path in table for path in payload["pictures"])
    assert payload["run"] in table


def test_a_limit_of_memory_is_for_trainings(run):
    """Without other seeds nothing is trained, and it would do nothing."""
    code, out, err = run("evaluate", "--memory-limit", "1G")

    assert (code, out) == (2, "")
    assert "is for `--seeds`" in err


def test_seeds_are_judged_from_the_cache(run):
    """From the pictures it would take the backbone so many times."""
    code, out, err = run("evaluate", "--seeds", "2", "--end-to-end")

    assert (code, out) == (2, "")
    assert "leave out" in err
