"""Tests for `head.evaluating.judge` and `head.evaluating.evaluation_file`."""

import dataclasses
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import head.evaluating.evaluate
import head.evaluating.evaluation_file
from embed.console import Console
from embed.errors import MissingArtifactError
from head.evaluating.evaluation_table import format_evaluation
from head.evaluating.judge import judge_run
from head.refit import train_run
from head.run import HEAD
from head.run import load_run
from head.spec import HeadSpec

ROOT = Path(__file__).parents[3]
WARM = """
import contextlib, sys
from head import cli
with contextlib.suppress(SystemExit):
    cli.app(["evaluate", "--run", sys.argv[1], "--json"])
heavy = {"tensorflow", "keras", "sklearn", "scipy", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.fixture(name="run")
def _run(tiny_cache, tmp_path):
    return train_run(
        tiny_cache, HeadSpec(epochs=2), seed=0, artifacts_dir=tmp_path
    )


@pytest.fixture(name="judge")
def _judge(tiny_cache, monkeypatch):
    """Judges a run; counts how often it was really measured."""
    measured = []
    evaluate = head.evaluating.evaluate.evaluate

    def count(*args, **options):
        measured.append(options)
        return evaluate(*args, **options)

    monkeypatch.setattr(head.evaluating.evaluate, "evaluate", count)

    def judge(run, cache=tiny_cache, **options):
        options = {
            "is_averaged": False,
            "is_end_to_end": False,
            "groups_file": None,
            **options,
        }
        payload = judge_run(
            run, cache, console=Console(is_quiet=True), **options
        )
        return payload, len(measured)

    return judge


def test_the_same_is_not_measured_twice(judge, run):
    """The second answer is the first, from the file."""
    first, _ = judge(run)

    second, num_measured = judge(run)

    assert num_measured == 1
    assert json.loads(json.dumps(first)) == second
    assert len(second["pictures"]) == 2
    assert format_evaluation(second) == format_evaluation(first)


@pytest.mark.parametrize(
    "change", [{"is_averaged": True}, {"is_end_to_end": True}]
)
def test_another_question_is_measured(judge, run, change):
    """What was measured of one view is no answer for two, or for pictures."""
    judge(run)

    payload, num_measured = judge(run, **change)

    assert num_measured == 2
    assert payload["end_to_end"] == ("is_end_to_end" in change)
    assert len(payload["views"]) == 1 + ("is_averaged" in change)


def test_pictures_are_looked_at_every_time(judge, run):
    """From the pictures, which may have changed, it starts anew."""
    judge(run, is_end_to_end=True)

    assert judge(run, is_end_to_end=True)[1] == 2


def test_another_head_is_measured(judge, run, tiny_cache, tmp_path):
    """A file that was replaced does not keep the old accuracy."""
    judge(run)
    other = train_run(
        tiny_cache, HeadSpec(epochs=5), seed=1, artifacts_dir=tmp_path
    )
    shutil.copy(other.directory / HEAD, run.directory / HEAD)

    assert judge(run)[1] == 2


def test_other_groups_are_measured(judge, run, tmp_path):
    """The content of the file counts, not its name."""
    path = tmp_path / "groups.toml"
    path.write_text('pets = ["cat"]\n')
    judge(run, groups_file=path)
    path.write_text('pets = ["cat", "dog"]\n')

    payload, num_measured = judge(run, groups_file=path)

    assert num_measured == 2
    assert payload["groups"]["pets"]["num_images"] == 8
    assert judge(run, groups_file=path)[1] == 2


@pytest.mark.parametrize(
    "name",
    ["group-all.png", "reliability.png", "predictions.csv", "predictions.npz"],
)
def test_what_is_gone_is_made_again(judge, run, name):
    """A picture that somebody removed comes back."""
    judge(run)
    (run.directory / name).unlink()

    _, num_measured = judge(run)

    assert num_measured == 2
    assert (run.directory / name).exists()


def test_an_evaluation_that_was_cut_off_is_no_answer(judge, run, monkeypatch):
    """Killed among its files, it does not pass for the one before."""
    judge(run)
    write_text = head.evaluating.evaluation_file.write_text

    def stop(path, text):
        write_text(path, text)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(head.evaluating.evaluation_file, "write_text", stop)
        with pytest.raises(KeyboardInterrupt):
            judge(run, is_averaged=True)

    payload, num_measured = judge(run)

    assert num_measured == 3
    assert payload["views"] == ("plain",)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pictures": 3}', "null"])
def test_a_damaged_file_is_no_answer(judge, run, text):
    """It is measured again and written anew."""
    judge(run)
    path = run.directory / "evaluation.json"
    path.write_text(text)

    assert judge(run)[1] == 2
    assert json.loads(path.read_text())["groups"]


def test_one_waits_for_the_other(judge, run, monkeypatch, capsys):
    """Each has its own files then, and the last one's are there."""
    evaluate = head.evaluating.evaluate.evaluate
    others = []

    def begin_another(*args, **options):
        if not others:
            other = threading.Thread(
                target=judge_run,
                args=args[:2],
                kwargs={
                    "is_averaged": True,
                    "is_end_to_end": False,
                    "groups_file": None,
                    "is_drawn": False,
                    "console": Console(),
                },
            )
            others.append(other)
            other.start()
            while "Waiting" not in capsys.readouterr().err:
                time.sleep(0.01)
            assert not (run.directory / "predictions.npz").exists()
        return evaluate(*args, **options)

    monkeypatch.setattr(head.evaluating.evaluate, "evaluate", begin_another)

    first, _ = judge(run)
    others[0].join()

    assert first["views"] == ("plain",)
    kept = json.loads((run.directory / "evaluation.json").read_text())
    assert kept["views"] == ["plain", "flip"]
    assert list((run.directory.parent / ".building").iterdir()) == []


def test_a_run_that_was_moved_names_its_own_files(judge, run, tmp_path):
    """Paths are where the files are now."""
    judge(run)
    moved = tmp_path / "elsewhere"
    shutil.copytree(run.directory, moved)

    payload, num_measured = judge(load_run(moved))

    assert num_measured == 1
    assert payload["run"] == str(moved)
    assert payload["pictures"] == [
        str(moved / "reliability.png"),
        str(moved / "group-all.png"),
    ]


def test_without_its_pictures_it_is_tried_again(judge, run, picture_folder):
    """Numbers are answered, and the drawing is not given up for good."""
    hidden = picture_folder.with_name("hidden")
    picture_folder.rename(hidden)
    payload, _ = judge(run)
    hidden.rename(picture_folder)

    again, num_measured = judge(run)

    assert payload["pictures"] == [str(run.directory / "reliability.png")]
    assert num_measured == 2
    assert len(again["pictures"]) == 2


def test_numbers_alone_are_no_answer_to_who_wants_pictures(judge, run):
    """But what was drawn answers who wants numbers alone."""
    numbers, _ = judge(run, is_drawn=False)

    drawn, num_measured = judge(run)

    assert num_measured == 2
    assert numbers["pictures"] == []
    again, num_measured = judge(run, is_drawn=False)
    assert num_measured == 2
    assert again == json.loads(json.dumps(drawn))


def test_pictures_of_other_answers_do_not_stay(judge, run, tmp_path):
    """Beside new numbers there is no picture with the old ones."""
    path = tmp_path / "groups.toml"
    path.write_text('pets = ["cat"]\n')
    judge(run, groups_file=path)

    judge(run, is_averaged=True, is_drawn=False)

    assert list(run.directory.glob("group-*.png")) == []
    assert not (run.directory / "reliability.png").exists()


def test_another_temperature_is_measured(judge, run):
    """It is part of the head, though not of its file."""
    judge(run)
    record = run.record.model_copy(update={"temperature": 2.0})

    payload, num_measured = judge(dataclasses.replace(run, record=record))

    assert num_measured == 2
    assert payload["calibrated"]["temperature"] == 2


def test_an_evaluation_of_an_older_version_is_no_answer(
    judge, run, monkeypatch
):
    """It may lack what is measured by now."""
    with monkeypatch.context() as patch:
        patch.setattr(head.evaluating.evaluation_file, "VERSION", 1)
        judge(run)

    assert judge(run)[1] == 2


def test_a_warm_answer_needs_neither_tensorflow_nor_scikit_learn(judge, run):
    """It is read, and not measured, in a process of its own."""
    judge(run)

    process = subprocess.run(
        [sys.executable, "-c", WARM, run.directory],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    answer, imported = process.stdout.splitlines()
    assert json.loads(answer)["num_images"] == 12
    assert imported == "[]"


def test_a_head_that_is_gone_is_an_error(judge, run):
    """One line with the command, and no old answer."""
    judge(run)
    (run.directory / HEAD).unlink()

    with pytest.raises(MissingArtifactError, match="head train --overwrite"):
        judge(run)
