"""Processes of tests that are killed, limited, many at a time, or bare.

All but the bare ones are forked from one that has imported TensorFlow and
computed nothing with it, so that each starts in some hundredths of a second
instead of 4 s.
"""

import contextlib
import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import resource
import subprocess
import sys
import time

import pytest

from embed.startup import LOG_LEVEL_FATAL
from embed.startup import LOG_LEVEL_VARIABLE
from tests.conftest import COMMAND_SECONDS

POLL_SECONDS = 0.001
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    ["embed.backbones.hub", "embed.cli", "embed.extract", "head.refit"]
)


@contextlib.contextmanager
def start(target, *arguments, **options):
    """Runs a function in a process of its own; kills what is left of it."""
    ensure_server()
    process = FORKED.Process(target=target, args=arguments, kwargs=options)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def ensure_server():
    """Starts what processes are forked from, which must not log."""
    with pytest.MonkeyPatch.context() as patch:
        # TensorFlow reads it when it is imported, before the command sets it.
        patch.setenv(LOG_LEVEL_VARIABLE, LOG_LEVEL_FATAL)
        multiprocessing.forkserver.ensure_running()


def wait_until(is_so, process=None):
    """Waits for a condition, or for the end of a process; says whether."""
    deadline = time.monotonic() + COMMAND_SECONDS
    while time.monotonic() < deadline:
        if is_so():
            return True
        if process is not None and not process.is_alive():
            return False
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"Waited in vain for {COMMAND_SECONDS} s.")


@contextlib.contextmanager
def start_command(
    *arguments, cwd, package="embed", env=None, max_file_bytes=None
):
    """Starts `python -m PACKAGE ...` in a forked process.

    Takes what follows the package and, by name, the folder to run it in,
    variables to set (`env`), and how long a file may become. Yields the
    process; `finish` has its output.
    """
    command = [str(argument) for argument in arguments]
    outputs = cwd / f"output-{time.monotonic_ns()}"
    outputs.mkdir()
    with start(
        _run_command, package, command, cwd, outputs, env, max_file_bytes
    ) as process:
        process.outputs = outputs
        yield process


def finish(process):
    """Waits for a command; returns it finished, with its output as text."""
    process.join(COMMAND_SECONDS)
    stdout, stderr = (
        (process.outputs / name).read_text("utf-8")
        for name in ("stdout", "stderr")
    )
    return subprocess.CompletedProcess([], process.exitcode, stdout, stderr)


def run_forked(*arguments, **options):
    """Runs a command to its end; see `start_command`."""
    with start_command(*arguments, **options) as process:
        return finish(process)


def run_program(program, *, timeout=60, **variables):
    """Runs a program in an interpreter that has nothing imported.

    Takes its text, how many seconds it has, and variables to set by name.
    """
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        timeout=timeout,
        check=True,
    )


def _run_command(package, command, cwd, outputs, env, max_file_bytes):
    os.chdir(cwd)
    os.environ.update(env or {})
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(outputs / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, descriptor)
    if max_file_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, hard))
    app = importlib.import_module(f"{package}.cli").app
    app(command, prog_name=package)
