"""Tests for `embed.building.runners.processes`: who has which block, when."""

import multiprocessing
import os
import types

import numpy as np
import pytest

import embed.building.runners.worker
from embed.building.blocks import BlockKey
from embed.building.clock import StageClock
from embed.building.plan import Task
from embed.building.request import BuildRequest
from embed.building.runners.order import UNITS_AHEAD
from embed.building.runners.order import UnitReport
from embed.building.runners.processes import EngineChosen
from embed.building.runners.processes import Member
from embed.building.runners.processes import ProcessRunner
from embed.building.runners.processes import _run_worker
from embed.building.runners.runner import Work
from embed.console import Console
from embed.errors import RunnerError
from tests.children import FORKED
from tests.children import ensure_server
from tests.children import start
from tests.children import wait_until

NUM_UNITS = 20


class StubbedRunner(ProcessRunner):
    """Hands units to processes that answer at once, or die of one."""

    deadly = -1

    def _start(self, number):
        ours, theirs = multiprocessing.Pipe()
        ensure_server()
        process = FORKED.Process(target=serve, args=(theirs, self.deadly))
        process.start()
        theirs.close()
        self.num_started += 1
        return Member(number, process, ours, {})


def serve(connection, deadly):
    """Answers for units without computing them."""
    connection.send(EngineChosen("stub"))
    while True:
        unit, _ = connection.recv()
        if unit.number == deadly:
            os._exit(3)
        connection.send(UnitReport(unit.number, (), 0, {}))


@pytest.fixture(name="create")
def _create(tiny_request):
    """Creates a runner of some workers and units."""

    def create(num_workers, deadly=-1, num_units=NUM_UNITS):
        fields = {"num_workers": num_workers, "engine": "tensorflow"}
        tasks = [
            Task(
                BlockKey("train", n, 256 * n, 256 * (n + 1)),
                np.arange(256 * n, 256 * (n + 1)),
                ("plain",),
            )
            for n in range(num_units)
        ]
        stamps = np.zeros((256 * num_units, 3), np.int64)
        work = Work(
            request=BuildRequest(
                source=tiny_request.source,
                backbone=tiny_request.backbone,
                **fields,
            ),
            spec=None,
            source=None,
            pictures=types.SimpleNamespace(stamps=lambda split: stamps),
            backbones=None,
            blocks_dir=None,
            tasks=tasks,
            earlier="",
        )
        runner = StubbedRunner(work, StageClock(), Console(is_quiet=True))
        runner.deadly, runner.num_started = deadly, 0
        return runner

    return create


def take_all(runner, numbers):
    """Runs a runner, and adds the numbers of what was answered to a list."""
    with runner:
        assert runner.start() == "stub"
        for message in runner._messages:
            if isinstance(message, UnitReport):
                numbers.append(message.number)


def test_each_unit_is_answered_once(create):
    """Whichever worker has it."""
    numbers = []

    take_all(create(3), numbers)

    assert sorted(numbers) == list(range(NUM_UNITS))


def test_a_block_that_ends_workers_is_named(create):
    """The others are computed first; it is not tried for ever."""
    runner, numbers = create(2, deadly=3), []

    with pytest.raises(
        RunnerError, match=r"Block 3 of train, rows 768 to 1,023, ended 3 work"
    ):
        take_all(runner, numbers)

    assert 3 not in numbers
    # Both workers may not have answered for what they had, block 3 included.
    assert len(numbers) >= NUM_UNITS - 2 * UNITS_AHEAD
    assert runner.num_started == 2 + 2


def test_no_more_workers_are_started_than_there_are_blocks(create):
    """Each imports TensorFlow and lists the pictures."""
    runner, numbers = create(8, num_units=2), []

    take_all(runner, numbers)

    assert runner.num_started == 2
    assert sorted(numbers) == [0, 1]


class Unsendable:
    """Stands for a worker whose answers cannot be pickled."""

    def __init__(self, order):
        pass

    def compute(self, unit, engine, on_engine):
        """Returns what has no name."""
        return lambda: None


def run_unsendable(connection):
    """Runs a worker process with it."""
    embed.building.runners.worker.BlockWorker = Unsendable
    _run_worker(None, connection, "", False)


def test_a_worker_that_cannot_answer_ends():
    """Whoever waits for it learns of it, and starts another."""
    ours, theirs = multiprocessing.Pipe()
    with start(run_unsendable, theirs) as process:
        theirs.close()
        ours.send((None, "stub"))
        wait_until(lambda: not process.is_alive())

        assert process.exitcode == 1
        with pytest.raises(EOFError):
            ours.recv()
