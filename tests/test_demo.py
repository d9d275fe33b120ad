"""Tests for `scripts/demo.py`; tests/e2e runs it whole."""

import pytest

from scripts import demo

ANSWERS = {
    "cache": {"cache": "artifacts/demo/caches/digits-1.h5"},
    "search": {
        "best_spec": "artifacts/demo/searches/s/best.json",
        "best_score": 0.97,
        "num_trials": 8,
    },
    "run": {"run": "artifacts/demo/runs/r"},
    "evaluation": {"top1": 0.955, "num_images": 360},
    "report": {"report": "artifacts/demo/runs/r/report.html"},
    "export": {
        "model": "artifacts/demo/models/m",
        "parity": {
            "max_abs_diff": 2e-6,
            "top1_agreement": 1.0,
            "num_images": 360,
        },
    },
}


@pytest.fixture(name="package")
def _package(tmp_path, monkeypatch):
    """A command `tiny` that ends as the word after it says."""
    (tmp_path / "tiny.py").write_text(
        "import json, sys\n"
        "if sys.argv[1] == 'fails':\n"
        "    sys.exit(3)\n"
        "print(json.dumps(sys.argv[1:]))\n"
    )
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    return tmp_path


def test_the_summary_says_where_everything_is(tmp_path, monkeypatch):
    """Cache, best trial, pictures, model, accuracy and parity are named."""
    run = tmp_path / ANSWERS["run"]["run"]
    run.mkdir(parents=True)
    (run / "learning-curves.png").touch()
    monkeypatch.setattr(demo, "ROOT", tmp_path)

    summary = demo.summarize(ANSWERS, seconds=61.4)

    for part in (
        "61 s",
        "artifacts/demo/caches/digits-1.h5",
        "artifacts/demo/searches/s/best.json",
        "learning-curves.png",
        "artifacts/demo/runs/r/report.html",
        "artifacts/demo/models/m",
        "95.50% of 360 images",
        "2.0e-06, same top-1 for 100.00% of 360 images",
    ):
        assert part in summary


@pytest.mark.usefixtures("package")
def test_commands_write_into_the_demo_folder_as_json():
    """A demo never touches what the user's own commands have left."""
    answer = demo.run_command(["tiny", "works"])

    assert answer == ["works", "--artifacts", "artifacts/demo", "--json"]


@pytest.mark.usefixtures("package")
def test_the_first_failure_ends_the_demo_with_its_exit_code(monkeypatch, capfd):
    """Nothing runs on what a failed command should have left."""
    commands = {"cache": ["tiny", "fails"], "search": ["tiny", "works"]}
    monkeypatch.setattr(demo, "COMMANDS", commands)

    code = demo.main()

    assert code == 3
    assert "works" not in capfd.readouterr().err
