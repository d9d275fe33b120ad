"""Tests for `tune.workers`."""

import multiprocessing
import os

import pytest

from embed.errors import PipelineError
from tune.role import Address
from tune.spec import SearchSpec
from tune.workers import Job
from tune.workers import LocalWorkers

NOBODY = Address("127.0.0.1", 9)  # The port that throws everything away.


@pytest.fixture(name="create")
def _create(cache, tmp_path):
    """Creates a number of workers, and leaves none."""
    created = []

    def create(num_workers):
        spec = SearchSpec.of(
            cache,
            oracle="random",
            max_trials=1,
            max_epochs=1,
            parallel=1,
            seed=0,
        )
        job = Job(cache.path, spec, tmp_path / "search", memory_limit=10**9)
        created.append(LocalWorkers(job, num_workers))
        return created[-1]

    yield create
    for workers in created:
        workers.stop(0)


def kill_all():
    """Kills the workers of this process, and waits for their end."""
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


@pytest.mark.parametrize(
    ("num_cores", "num_workers", "expected"),
    [
        (8, 3, "3 workers of 2 CPU threads each"),
        (2, 2, "2 workers of 1 CPU thread each"),
        (2, 5, "5 workers of 1 CPU thread each"),
    ],
)
def test_workers_share_the_cores(
    create, monkeypatch, num_cores, num_workers, expected
):
    """Each has one at least."""
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda pid: set(range(num_cores))
    )

    assert create(num_workers).describe() == expected


def test_workers_are_started_once_and_leave_nothing(create):
    """They run until they are stopped; then there is none."""
    workers = create(2)

    assert workers.start(NOBODY)
    assert not workers.start(NOBODY)
    processes = multiprocessing.active_children()
    assert sorted(process.name for process in processes) == [
        "worker-1",
        "worker-2",
    ]
    workers.stop(0)

    assert multiprocessing.active_children() == []


def test_one_that_dies_is_started_again(create):
    """It is said which and how; the other one goes on."""
    workers = create(2)
    workers.start(NOBODY)
    pids = {p.name: p.pid for p in multiprocessing.active_children()}
    assert workers.restart_dead() == {}
    [victim] = [
        process
        for process in multiprocessing.active_children()
        if process.name == "worker-2"
    ]
    victim.kill()
    victim.join()

    assert workers.restart_dead() == {"worker-2": "was killed by SIGKILL"}

    later = {p.name: p.pid for p in multiprocessing.active_children()}
    assert later.keys() == pids.keys()
    assert later["worker-1"] == pids["worker-1"]
    assert later["worker-2"] != pids["worker-2"]


def test_deaths_again_and_again_are_one_error(create):
    """It says how the last one ended, and what may help."""
    workers = create(2)
    workers.start(NOBODY)
    kill_all()
    assert len(workers.restart_dead()) == 2
    kill_all()

    with pytest.raises(PipelineError, match="`--memory-limit`") as raised:
        workers.restart_dead()

    assert "4 times in a row" in str(raised.value)
    assert "SIGKILL" in str(raised.value)


def test_deaths_between_finished_trials_are_none_in_a_row(create):
    """A search may take weeks, and lose a worker now and then."""
    workers = create(1)
    workers.start(NOBODY)
    for _ in range(3):
        kill_all()
        assert len(workers.restart_dead()) == 1
        workers.note_success()
