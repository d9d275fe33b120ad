"""From pictures to answers, and on after all but the export is gone."""

import json
import shutil

from tests.children import run_forked
from tests.conftest import CLASS_NAMES

SPEC = '{"epochs": 20, "learning_rate": 0.05}'


def test_an_export_answers_after_all_else_is_gone(
    run_command, tiny_module_dir, picture_folder, tmp_path
):
    """The same as `evaluate --end-to-end`, picture by picture."""
    module_dir = shutil.copytree(tiny_module_dir, tmp_path / "module")
    (tmp_path / "spec.json").write_text(SPEC)
    steps = [
        [
            *("embed", "build-cache", "--dataset", "folder:pictures"),
            *("--backbone", f"hub:{module_dir}", "--image-size", "8"),
        ],
        ["head", "train", "--spec", "spec.json"],
        ["head", "evaluate", "--end-to-end"],
        ["head", "export-full-model"],
    ]
    answers = []
    for package, *words in steps:
        process = run_forked(*words, "--json", cwd=tmp_path, package=package)
        assert process.returncode == 0, process.stderr
        answers.append(json.loads(process.stdout))
    _, _, evaluation, export = answers
    table = tmp_path / evaluation["run"] / "predictions.csv"
    first_of = {}
    for line in table.read_text("utf-8").splitlines()[1:]:
        image_id, _, predicted, *_ = line.split(",")
        first_of[f"pictures/test/{image_id}"] = predicted
    for gone in ("artifacts/caches", "artifacts/runs", "module"):
        shutil.rmtree(tmp_path / gone)
    shutil.rmtree(picture_folder / "train")

    process = run_command("predict", "pictures", "--json", package="head")
    lines = run_command(
        *("predict", "pictures/test/*/*.png", "--model", export["model"]),
        "--json-lines",
        package="head",
    )

    assert process.returncode == 0, process.stderr
    answer = json.loads(process.stdout)
    assert answer["model"] == export["model"]
    assert answer["failures"] == []
    found = {p["path"]: p["class"] for p in answer["predictions"]}
    assert found == first_of
    assert set(found.values()) <= set(CLASS_NAMES)
    assert lines.returncode == 0, lines.stderr
    classes = {
        one["path"]: one["class"]
        for one in map(json.loads, lines.stdout.splitlines())
    }
    assert len(classes) == 6
    assert classes.items() <= first_of.items()
