"""Tests for `tune.baseline_file`."""

import pytest

from embed.console import Console
from embed.errors import PipelineError
from embed.splits import split_train
from tune.baseline_file import read_baselines
from tune.baseline_file import run_and_keep

FINGERPRINT = "0123456789abcdef"


@pytest.fixture(name="run")
def _run(cache, tmp_path):
    """Compares on the rows of the cache; the folder is `tmp_path`."""
    split = split_train(cache.image_ids("train"))
    folds = [(cache.take(split.train), cache.take(split.val))]

    def run(folds=folds, fingerprint=FINGERPRINT):
        return run_and_keep(
            folds,
            fingerprint=fingerprint,
            num_classes=3,
            folder=tmp_path,
            console=Console(),
        )

    return run


def test_results_are_written_and_said(run, tmp_path, capsys):
    """Each as soon as it is there, all of them to the file."""
    results = run()

    said = capsys.readouterr().err.splitlines()
    assert len(results) == len(said) == 4
    assert said[0].startswith(f"Baseline ridge ({results[0].setting}): ")
    assert read_baselines(tmp_path, FINGERPRINT) == results


def test_those_of_another_cache_are_not_taken(run, tmp_path):
    """Whatever the folder is called that they lie in."""
    run(fingerprint="of another")
    assert read_baselines(tmp_path, FINGERPRINT) == []

    results = run()

    assert read_baselines(tmp_path, FINGERPRINT) == results
    assert len(results) == 4


def test_without_memory_there_are_none(run, tmp_path, capsys, monkeypatch):
    """It is said that there are none and why."""
    monkeypatch.setattr("tune.baseline_file.MEMORY_SHARE", 1e-9)

    assert run() == []
    assert "more than a quarter of the free memory" in capsys.readouterr().err
    assert read_baselines(tmp_path, FINGERPRINT) == []


def test_another_file_is_one_error(tmp_path):
    """It says what to remove."""
    (tmp_path / "baselines.json").write_text('[{"name": "ridge"}]')

    with pytest.raises(PipelineError, match="Remove it and run the search"):
        read_baselines(tmp_path, FINGERPRINT)
