"""Tests for `embed.console`."""

import json
import os
import pty
import subprocess
import sys
import textwrap

import pytest

from embed.console import Console
from embed.console import format_seconds


@pytest.fixture(name="run_body")
def _run_body(tmp_path):
    """Runs a command with that body in a process of its own."""

    def run(body, *arguments):
        program = (
            "import os, sys, typer\n"
            "from embed.console import JsonOption, QuietOption\n"
            "from embed.console import command, create_app\n"
            "from embed.errors import PipelineError\n"
            "app = create_app('Tests.')\n"
            "@app.command()\n"
            "def run(as_json: JsonOption = False,"
            " quiet: QuietOption = False):\n"
            "    with command(as_json=as_json, is_quiet=quiet) as console:\n"
            + textwrap.indent(textwrap.dedent(body), " " * 8)
            + "\napp()\n"
        )
        path = tmp_path / "program.py"
        path.write_text(program)
        return subprocess.run(
            [sys.executable, path, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            timeout=60,
            check=False,
        )

    return run


NOISY = """
    print("from Python")
    os.write(1, b"from C\\n")
    os.system("echo from a child")
    console.say("a remark")
    console.result({"answer": 42, "été": None}, "The answer is 42.")
    print("and more")
"""


def test_json_is_the_only_thing_on_stdout(run_body):
    """Whatever a library prints, and in whatever way: it goes to stderr."""
    process = run_body(NOISY, "--json")

    assert process.returncode == 0
    assert json.loads(process.stdout) == {"answer": 42, "été": None}
    assert process.stdout.count("\n") == 1
    for text in ("from Python", "from C", "from a child", "a remark", "more"):
        assert text in process.stderr


def test_text_is_the_only_thing_on_stdout(run_body):
    """Without `--json` it is the result for people."""
    process = run_body(NOISY)

    assert process.stdout == "The answer is 42.\n"


def test_quiet_leaves_remarks_out(run_body):
    """Results and errors stay."""
    process = run_body(NOISY, "--quiet")

    assert process.stdout == "The answer is 42.\n"
    assert "a remark" not in process.stderr


def test_errors_are_one_line(run_body):
    """A user's error is a line on stderr, exit code 1 and no traceback."""
    process = run_body(
        'raise PipelineError("It is wrong.\\n  Expected: x.")', "--json"
    )

    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr == "error: It is wrong. Expected: x.\n"


def test_interrupt(run_body):
    """Ctrl-C is exit code 130 and a line, not a traceback."""
    process = run_body("raise KeyboardInterrupt")

    assert process.returncode == 130
    assert process.stderr == (
        "error: Interrupted. What is finished is kept: run the command again.\n"
    )


@pytest.mark.parametrize("number", ["ENOSPC", "EACCES", "EROFS", "ENOTDIR"])
def test_full_or_forbidden_disk(run_body, number):
    """A disk that takes no more is the user's to mend, with advice."""
    process = run_body(
        f"""
        import errno
        raise OSError(errno.{number}, os.strerror(errno.{number}), "/x/y")
        """
    )

    assert process.returncode == 1
    assert process.stderr.startswith("error: /x/y cannot be used: ")
    assert "`--artifacts DIR`" in process.stderr


def test_a_full_folder_of_blocks_is_named_by_its_option(run_body):
    """`--artifacts` would change nothing there."""
    process = run_body(
        """
        import errno
        path = "/shared/a-9f3c-0a1b.blocks/train/00000000.npz.0a1b.part"
        raise OSError(errno.ENOSPC, "No space left on device", path)
        """
    )

    assert process.returncode == 1
    assert "`--blocks DIR`" in process.stderr
    assert "--artifacts" not in process.stderr
    assert process.stderr.count("\n") == 1


def test_our_own_faults_keep_their_traceback(run_body):
    """A bug is not dressed up as a user's error."""
    process = run_body("raise ZeroDivisionError")

    assert process.returncode == 1
    assert "Traceback" in process.stderr
    assert "error: " not in process.stderr.split("Traceback")[0]


@pytest.mark.parametrize("total", [10, 30, 100, 997])
def test_a_line_every_tenth(capsys, total):
    """In a log, progress is ten lines, at each 10 %."""
    with Console().progress("Embedding", total, "views") as progress:
        for _ in range(total):
            progress.advance()

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith(f"Embedding: {-(-total // 10)} of {total} views")
    for number, line in enumerate(lines, start=1):
        assert f"({number}0%)" in line
    assert lines[-1].endswith("0 s left")


def test_large_steps_skip_lines(capsys):
    """One step over several tenths is one line."""
    with Console().progress("Embedding", 100, "views") as progress:
        for amount in (35, 4, 1, 60):
            progress.advance(amount, note="best 0.93")

    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["35", "40", "100"]
    assert all(line.endswith("left, best 0.93") for line in lines)


def test_resumed_work_starts_where_it_stopped(capsys):
    """What an earlier call did counts for the share, not for the rate."""
    with Console().progress("Embedding", 100, "views", done=55) as progress:
        progress.advance(5)
        progress.advance(40)

    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["60", "100"]


def test_no_work_is_no_progress(capsys):
    """A total of 0 divides nothing."""
    with Console().progress("Embedding", 0, "views"):
        pass

    assert capsys.readouterr().err == ""


def test_quiet_progress(capsys):
    """`--quiet` shows none."""
    with Console(is_quiet=True).progress("Embedding", 10, "views") as progress:
        progress.advance(10)

    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(tmp_path):
    """On a terminal a bar moves, with rate and time left."""
    program = (
        "from embed.console import Console\n"
        "with Console().progress('Embedding', 4, 'views', done=1) as bar:\n"
        "    bar.advance(3, note='best 0.93')\n"
    )
    reader, writer = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", program],
        stderr=writer,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        timeout=60,
        check=True,
    )
    os.close(writer)

    shown = os.read(reader, 100_000).decode()
    os.close(reader)

    for text in ("Embedding", "4/4", "views", "/s", "best 0.93"):
        assert text in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3600, "1 h 0 min"),
        (11_045, "3 h 4 min"),
    ],
)
def test_durations(seconds, text):
    """Two units at most, rounded to the second."""
    assert format_seconds(seconds) == text
