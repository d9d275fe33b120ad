"""Tests for `head.predicting.predict_command`."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import types

import pytest

from head import cli
from tests.conftest import COMMAND_SECONDS
from tests.conftest import ROOT


@pytest.fixture(name="run")
def _run(tiny_export, monkeypatch, capfd):
    """Runs the command on the export: its exit code, stdout and stderr.

    Takes the words after `predict` and, by name, what comes on `stdin`.
    """
    monkeypatch.chdir(tiny_export.pictures)

    def run(*words, stdin=b"", artifacts=tiny_export.artifacts_dir):
        buffer = types.SimpleNamespace(buffer=io.BytesIO(stdin))
        monkeypatch.setattr(sys, "stdin", buffer)
        with pytest.raises(SystemExit) as ended:
            cli.app(["predict", *words, "--artifacts", str(artifacts)])
        return ended.value.code, *capfd.readouterr()

    return run


def test_one_object_says_all_of_it(run, tiny_export):
    """Model, answers, failures, and how fast by what."""
    code, out, err = run("test", "gone?.jpg", "--json")
    assert (code, out) == (1, "")
    assert "No picture matches 'gone?.jpg'" in err

    code, out, err = run("test", "-", "--json", stdin=b"gone.jpg\n")

    assert code == 0
    answer = json.loads(out)
    assert answer["model"] == str(tiny_export.model)
    names = [prediction["class"] for prediction in answer["predictions"]]
    best = tiny_export.expected().argmax(-1)
    classes = tiny_export.cache.spec.class_names
    assert names == [classes[label] for label in best]
    assert [len(p["top"]) for p in answer["predictions"]] == 12 * [3]
    reason = "it cannot be read: No such file or directory"
    assert answer["failures"] == [{"path": "gone.jpg", "reason": reason}]
    assert f"skipped gone.jpg: {reason}\n" in err
    assert answer["engine"] == "tensorflow"
    assert 0 < answer["images_per_second"]
    assert 0 < answer["seconds"]


def test_the_model_of_an_answer_is_one_that_is_accepted(run):
    """Every path in a `--json` is one that the other commands accept."""
    _, out, _ = run("test/cat", "--json")
    model = json.loads(out)["model"]

    code, again, _ = run("test/cat", "--json", "--model", model)

    assert code == 0
    assert json.loads(again)["predictions"] == json.loads(out)["predictions"]


def test_people_get_a_line_a_picture(run):
    """Paths are padded to one width, and answers stand behind them."""
    code, out, _ = run("test/cat", "test/été/00.jpg", "--top", "1")

    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("test/cat/00.jpg  ")
    assert all(line[15:17] == "  " for line in lines)
    assert all(line.endswith(" %") and "," not in line for line in lines)


def test_a_program_may_wait_for_each_answer(tiny_export):
    """Paths that come one by one on stdin are answered one by one."""
    words = ["predict", "-", "--json-lines", "--quiet"]
    words += ["--artifacts", str(tiny_export.artifacts_dir)]
    with subprocess.Popen(
        [sys.executable, "-m", "head", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        watch = threading.Timer(COMMAND_SECONDS, process.kill)
        watch.start()
        for path in (*tiny_export.test_paths[:2], "gone.jpg"):
            process.stdin.write(f"{path}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["path"] == path
        process.stdin.close()
        assert process.stdout.read() == b""
        watch.cancel()

    assert process.returncode == 0


def test_lines_of_json_come_in_the_order_of_the_inputs(run):
    """Failures have a line as well, so that none is missed."""
    stdin = b"test/dog/00.jpg\ngone.jpg\ntest/dog/00.jpg\ntest/cat/00.jpg\n"

    code, out, err = run("-", "--json-lines", stdin=stdin)

    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["path"] for line in lines] == [
        "test/dog/00.jpg",
        "gone.jpg",
        "test/cat/00.jpg",
    ]
    assert ["class" in line for line in lines] == [True, False, True]
    assert "reason" in lines[1]
    assert "2 pictures answered" in err
    assert "1 skipped" in err


def test_many_pictures_are_watched_on_stderr(run, tiny_export):
    """Without a terminal, a line every tenth; a few need none."""
    code, out, err = run("train", "test")
    _, _, few = run("test")

    assert code == 0
    assert len(out.splitlines()) == 42
    assert "Predicting: 42 of 42 pictures (100%)" in err
    assert "Engine: " in err
    assert "Predicting" not in few
    assert "Engine: " not in few


def test_quiet_leaves_results_and_errors(run):
    """A picture that cannot be read is one."""
    code, out, err = run("test/cat", "-", "--quiet", stdin=b"gone.jpg\n")

    assert code == 0
    assert len(out.splitlines()) == 4
    assert err.startswith("skipped gone.jpg: ")
    assert len(err.splitlines()) == 1


def test_neighbours_explain_an_answer(run):
    """Of the cache that the model was made on, which nobody has to name."""
    words = ("train/dog/03.png", "--neighbours", "2")
    code, out, _ = run(*words, "--json")
    _, text, _ = run(*words)

    assert code == 0
    (prediction,) = json.loads(out)["predictions"]
    first, second = prediction["neighbours"]
    assert (first["image_id"], first["class"]) == ("dog/03.png", "dog")
    assert first["similarity"] == pytest.approx(1, abs=1e-6)
    assert second["similarity"] < 1
    assert "like dog/03.png (dog, 1.00), " in text


def test_no_answer_at_all_is_exit_code_1(run):
    """The object is printed all the same, and the error says why."""
    code, out, err = run("-", "--json", stdin=b"gone.jpg\n")
    empty, nothing, said = run("-", "--json-lines")

    assert code == 1
    assert json.loads(out)["predictions"] == []
    assert err.splitlines()[-1].startswith("error: 1 picture skipped, none")
    assert (empty, nothing) == (1, "")
    assert "stdin holds no path" in said.splitlines()[-1]


def test_without_an_export_the_command_is_named(run, tmp_path):
    """One error line."""
    code, out, err = run("test", artifacts=tmp_path)

    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: There is no exported model")
    assert "`python -m head export-full-model`" in err.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("test", "--json", "--json-lines"),
        ("test", "--top", "0"),
        ("test", "--neighbours", "0"),
        ("test", "--engine", "none"),
        ("test", "--cache", "x.h5"),
        ("test", "--memory-limit", "1G"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(run, words):
    """Exit code 2, before anything is loaded."""
    code, out, _ = run(*words)

    assert (code, out) == (2, "")


def test_a_model_needs_nothing_but_its_folder(run, tiny_export, tmp_path):
    """Neither cache nor run, in a folder of any name."""
    folder = shutil.copytree(tiny_export.model, tmp_path / "given away")

    code, out, _ = run("test", "--model", str(folder), artifacts=tmp_path)
    missing = run(
        *("test", "--model", str(folder), "--neighbours", "1"),
        artifacts=tmp_path,
    )

    assert code == 0
    assert len(out.splitlines()) == 12
    assert missing[0] == 1
    assert "`--cache PATH`" in missing[2].splitlines()[-1]


def test_a_reader_that_leaves_is_no_fault(tiny_export):
    """As in `head predict ... | head -1`: it ends, and quietly."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "head", "predict", "."),
            *("--artifacts", str(tiny_export.artifacts_dir)),
        ],
        cwd=tiny_export.pictures,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    process.stdout = None

    _, err = process.communicate(timeout=COMMAND_SECONDS)

    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Error" not in err
    assert "pictures answered" not in err
