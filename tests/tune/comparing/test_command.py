"""Tests for `tune.comparing.command`."""

import json
from pathlib import Path

import pytest

from tests.children import run_forked

KEYS = {
    *("cache", "fingerprint", "backbone", "image_size", "views"),
    *(
        "precision",
        "dtype",
        "feature_dim",
        "num_bytes",
        "views_per_second",
        "engine",
        "host",
    ),
    *("val_accuracy", "val_accuracies", "interval", "difference"),
    *("difference_interval", "val_accuracy_all_views", "ridge_accuracy"),
    "train_seconds",
}


@pytest.fixture(name="words")
def _words(make_cache):
    """The command on two caches, and a head of one epoch."""
    paths = [
        make_cache("a.h5").path,
        make_cache("b.h5", backbone="keras:Other").path,
    ]
    spec = paths[0].parent / "spec.json"
    spec.write_text('{"epochs": 1}')
    caches = [word for path in paths for word in ("--cache", path)]
    return "compare", *caches, "--spec", spec, "--seeds", 2


def test_one_object(words, tmp_path):
    """Stdout is JSON alone; the second time it is the same, and at once."""
    done = run_forked(*words, "--json", cwd=tmp_path, package="tune")
    again = run_forked(*words, "--json", cwd=tmp_path, package="tune")

    assert done.returncode == again.returncode == 0, done.stderr
    payload = json.loads(done.stdout)
    assert json.loads(again.stdout) == payload
    assert "already" in again.stderr
    assert payload["seeds"] == [0, 1]
    assert (tmp_path / payload["picture"]).is_file()
    assert (tmp_path / payload["comparison"] / "comparison.json").is_file()
    for found in payload["caches"]:
        assert found.keys() == KEYS
        assert Path(found["cache"]).is_file()
        assert found["num_bytes"] == Path(found["cache"]).stat().st_size
        assert len(found["val_accuracies"]) == 2


def test_for_people(words, tmp_path):
    """A table with both, and where the picture is."""
    done = run_forked(*words, "-q", cwd=tmp_path, package="tune")

    assert done.returncode == 0, done.stderr
    assert "keras:Tiny" in done.stdout
    assert "keras:Other" in done.stdout
    assert "Picture: artifacts/comparisons/a-" in done.stdout
    assert done.stderr == ""


def test_other_pictures_are_one_line(words, make_cache, tmp_path):
    """Exit code 1, before anything is trained."""
    path = make_cache("c.h5", num_train=50).path

    done = run_forked(
        *words, "--cache", path, "-q", cwd=tmp_path, package="tune"
    )

    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: The caches ")
    assert "10 only in the first" in line
