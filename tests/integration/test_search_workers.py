"""Searches with worker processes: kills, interrupts, several machines."""

import json
import multiprocessing
import os
import signal
import socket
from pathlib import Path

import pytest

from embed.console import Console
from embed.console import Progress
from tests.children import finish
from tests.children import start_command
from tests.children import wait_until
from tune.results import load_search
from tune.search import run_search

NUM_IMAGES = 3000  # So that trials last longer than a moment.


class KillingConsole(Console):
    """Kills each worker once, when a trial has been finished.

    Workers have several trials at a time, so that one that is killed is in
    the middle of some.
    """

    def __init__(self):
        super().__init__(is_quiet=True)
        self.remarks = []
        self.killed = set()

    def say(self, text):
        """Keeps a remark."""
        self.remarks.append(text)

    def progress(self, *args):
        """Returns a progress that kills the next one."""
        console = self

        class Killing(Progress):
            def __enter__(self):
                return self

            def __exit__(self, *args):
                pass

            def advance(self, amount=1, note=""):
                for process in multiprocessing.active_children():
                    if process.name not in console.killed:
                        console.killed.add(process.name)
                        process.kill()
                        return

        return Killing()


@pytest.fixture(name="cache")
def _cache(draw_cache, tmp_path):
    """3,000 training images of 3 classes that overlap."""
    folder = tmp_path / "artifacts" / "caches"
    folder.mkdir(parents=True)
    return draw_cache(folder / "cache.h5", num_train=NUM_IMAGES)


@pytest.fixture(name="search")
def _search(cache, tmp_path):
    """Runs a search of a dozen trials, options by name."""

    def search(**options):
        defaults = {
            "oracle": "random",
            "max_trials": 12,
            "max_epochs": 20,
            "parallel": 12,
            "seed": 0,
            "has_baselines": False,
            "artifacts_dir": tmp_path / "artifacts",
            "is_overwrite": True,
            "console": Console(is_quiet=True),
        }
        return run_search(cache, **{**defaults, **options})

    return search


@pytest.mark.slow
def test_killed_workers_lose_no_trial(search):
    """Each is killed in mid-trial; the table is that of one process."""
    alone = search()
    console = KillingConsole()

    result = search(num_workers=2, console=console)

    assert console.killed == {"worker-1", "worker-2"}
    killed = [line for line in console.remarks if "SIGKILL" in line]
    assert len(killed) == 2
    assert any("trials are run again" in line for line in killed)
    assert without_seconds(result) == without_seconds(alone)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "exit_code", "is_early"),
    [
        (signal.SIGINT, 130, False),
        (signal.SIGTERM, -signal.SIGTERM, True),
        (signal.SIGKILL, -signal.SIGKILL, True),
    ],
)
def test_no_worker_outlives_its_search(
    search, cache, tmp_path, number, exit_code, is_early
):
    """Whatever ends the command, early or late; what is finished is kept."""
    with start_command(
        *("search", "--workers", 2, "--cache", cache.path, "--no-baselines"),
        *("--max-trials", 12, "--max-epochs", 2000, "--parallel", 12),
        cwd=tmp_path,
        package="tune",
    ) as command:
        wait_until(lambda: len(workers_of(command.pid)) == 2, command)
        pids = workers_of(command.pid)
        trials_dir = tmp_path / "artifacts" / "searches" / ".building"
        if not is_early:
            wait_until(lambda: list(trials_dir.glob("*/trials/*")), command)
        os.kill(command.pid, number)
        ended = finish(command)
        wait_until(lambda: not any(map(is_running, pids)))

    assert ended.returncode == exit_code
    assert "Traceback" not in ended.stderr
    assert len([*trials_dir.glob("*/trials/*")]) >= (not is_early)


@pytest.mark.slow
def test_a_search_on_several_machines(search, cache, tmp_path):
    """The same command, with KerasTuner's variables; the table is the same.

    Worker `b` shares the chief's folder, in which Hyperband's states are.
    """
    alone = search(oracle="hyperband", max_epochs=9)
    options = ["search", "--workers", 2, "--cache", cache.path, "--json"]
    options += ["--max-trials", 12, "--max-epochs", 9, "--parallel", 12]
    options += ["--oracle", "hyperband"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    def start_as(name, *others):
        variables = {
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(port),
        }
        return start_command(
            *options, *others, cwd=tmp_path, package="tune", env=variables
        )

    with (
        start_as("a", "--artifacts", "of-a") as a,
        start_as("b", "--artifacts", "artifacts") as b,
        start_as("c", "--artifacts", "of-c", "--seed", 1) as c,
        start_as("chief", "--overwrite", "--no-baselines") as chief,
    ):
        chief, a, b, c = map(finish, (chief, a, b, c))

    assert chief.returncode == 0, chief.stderr
    answer = json.loads(chief.stdout)
    assert answer["num_trials"] == 12
    assert without_seconds(alone) == without_seconds(
        load_search(tmp_path / answer["search"])
    )
    reports = [json.loads(worker.stdout) for worker in (a, b)]
    assert [report["worker"] for report in reports] == ["a", "b"]
    assert sum(report["num_trials"] for report in reports) == 12 + 1
    assert {report["search"] for report in reports} == {
        str(tmp_path / answer["search"])
    }
    assert all(report["seconds"] > 0 for report in reports)
    assert c.returncode == 1
    assert "Received: seed=1" in c.stderr
    assert not (tmp_path / "of-a").exists()


def test_half_of_the_variables_are_one_error(cache, tmp_path):
    """Nothing is opened or trained before."""
    with start_command(
        *("search", "--cache", cache.path),
        cwd=tmp_path,
        package="tune",
        env={"KERASTUNER_ORACLE_IP": "127.0.0.1"},
    ) as command:
        ended = finish(command)

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: The variables of KerasTuner")
    assert ended.stderr.count("\n") == 1


def without_seconds(result):
    """Returns the trial table less what two equal searches differ in."""
    return [trial.model_copy(update={"seconds": 0}) for trial in result.trials]


def workers_of(pid):
    """Returns the processes that another one has spawned to work."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            facts = (folder / "stat").read_text()
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent = int(facts.rpartition(")")[2].split()[1])
        if parent == pid and b"spawn_main" in command:
            found.append(int(folder.name))
    return found


def is_running(pid):
    """Tells whether a process is there, and is not just its exit code."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return facts.rpartition(")")[2].split()[0] != "Z"
