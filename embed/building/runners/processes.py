"""The runner of `--workers N`: processes on this machine, a block at a time.

A worker that dies is started anew, and its blocks are computed again.
"""

import collections
import contextlib
import dataclasses
import itertools
import logging
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from embed.building.blocks import BlockKey
from embed.building.clock import StageClock
from embed.building.plan import Task
from embed.building.result import TaskResult
from embed.building.runners.order import UNITS_AHEAD
from embed.building.runners.order import UNITS_AT_ONCE
from embed.building.runners.order import Failure
from embed.building.runners.order import Unit
from embed.building.runners.order import UnitReport
from embed.building.runners.order import WorkOrder
from embed.building.runners.runner import Work
from embed.building.runners.with_workers import RunnerWithWorkers
from embed.console import Console
from embed.console import command
from embed.devices import GPUS_VARIABLE
from embed.devices import share_gpus
from embed.engines import list_candidates
from embed.errors import RunnerError
from embed.processes import describe_end
from embed.processes import describe_threads
from embed.processes import describe_workers
from embed.processes import share_cores
from embed.processes import start_process

# In a row, each worker, before the fault is taken to be in the work: one by
# bad luck, and another one.
MAX_DEATHS = 2
MAX_DEATHS_OF_A_UNIT = 3  # The other one at the time is to blame as often.


@dataclasses.dataclass(frozen=True)
class EngineChosen:
    """Says which engine a worker has chosen, before it computes.

    Args:
        name: Of the engine.
    """

    name: str


@dataclasses.dataclass
class Member:
    """One worker process.

    Args:
        number: Which it is.
        process: The process.
        connection: To it.
        units: What it was given and has not answered, by number.
    """

    number: int
    process: SpawnProcess
    connection: Connection
    units: dict[int, Unit]


class ProcessRunner(RunnerWithWorkers):
    """Computes in worker processes, each on its share of cores and GPUs.

    The first one chooses the engine; then all have the same.

    Args:
        work: What to compute.
        clock: Receives the seconds of each stage.
        console: Receives remarks.
    """

    def __init__(self, work: Work, clock: StageClock, console: Console) -> None:
        super().__init__(work, clock, console)
        self._left = collections.deque(self._units)
        able = list_candidates(work.request.engine, work.request.precision)
        self._engine = work.earlier if work.earlier in able else ""
        num_workers = min(work.request.num_workers or 1, len(self._units))
        self._cores = share_cores(num_workers)
        self._gpus = share_gpus(num_workers)
        self._members: list[Member] = []
        self._num_deaths = 0  # Since a block was finished.
        self._deaths_of = collections.Counter[int]()  # By number of the unit.
        self._messages = self._exchange()
        self._early: list[UnitReport] = []  # Of pictures that are all bad.

    def __exit__(self, *error: object) -> None:
        for member in self._members:
            member.process.kill()
        for member in self._members:
            member.process.join()
            member.connection.close()

    def describe(self) -> str:
        """Returns how many workers there are, and what each has."""
        share = describe_threads(min(map(len, self._cores)))
        return f" in {describe_workers(len(self._cores), share)}"

    def start(self) -> str:
        """Starts the workers, and has the first one choose the engine."""
        for number in range(len(self._cores)):
            self._members.append(self._start(number))
        for message in self._messages:
            if isinstance(message, EngineChosen):
                break
            self._early.append(message)
        return self._engine

    def run(
        self,
        on_views: Callable[[int], None],
        on_task: Callable[[Task], None],
    ) -> Iterator[tuple[Task, TaskResult]]:
        """Yields what came of each task, as workers answer."""
        for message in itertools.chain(self._early, self._messages):
            if isinstance(message, UnitReport):
                yield from self._take(message, on_views, on_task)

    def _exchange(self) -> Iterator[UnitReport | EngineChosen]:
        """Hands out all units, and yields what workers say."""
        while self._left or any(member.units for member in self._members):
            self._hand_out()
            of_connection = {m.connection: m for m in self._members}
            for connection in wait(list(of_connection)):
                member = of_connection[connection]  # type: ignore[index]
                try:
                    message = member.connection.recv()
                except (EOFError, OSError):
                    self._replace(member)
                    continue
                if isinstance(message, Failure):
                    message.raise_here()
                elif isinstance(message, EngineChosen):
                    self._engine = message.name
                else:
                    member.units.pop(message.number)
                    self._num_deaths = 0
                yield message

    def _hand_out(self) -> None:
        """Gives each worker the next blocks, the first one alone at first."""
        members, most = self._members, UNITS_AHEAD
        if not self._engine:
            members, most = self._members[:1], 1
        for _ in range(most):
            for member in members:
                if self._left and len(member.units) < most:
                    unit = self._left.popleft()
                    member.units[unit.number] = unit
                    # To one that is dead: reading from it says so.
                    with contextlib.suppress(OSError):
                        member.connection.send((unit, self._engine))

    def _start(self, number: int) -> Member:
        ours, theirs = multiprocessing.Pipe()
        process = start_process(
            _run_worker,
            (
                self._order(len(self._cores)),
                theirs,
                self._gpus[number],
                logging.getLogger().isEnabledFor(logging.INFO),
            ),
            name=f"worker-{number + 1}",
            cores=self._cores[number],
        )
        theirs.close()  # Or its end would not close with the process.
        return Member(number, process, ours, {})

    def _replace(self, member: Member) -> None:
        """Starts a worker again that ended; its blocks are the last now.

        Raises:
            RunnerError: If workers do so again and again.
        """
        member.process.kill()  # It may hang, with its connection closed.
        member.process.join()
        end = describe_end(member.process.exitcode)
        self._num_deaths += 1
        for number in list(member.units)[:UNITS_AT_ONCE]:
            self._deaths_of[number] += 1
            self._require_harmless(member.units[number].key, number, end)
        if self._num_deaths >= MAX_DEATHS * len(self._cores):
            raise RunnerError(
                f"The workers ended {self._num_deaths} times in a row without "
                "finishing a block. Expected: that they compute until all is "
                f"done. Received: one that {end}. Where memory is short give "
                "fewer `--workers` or a lower `--batch-size`; with `-v` they "
                "log what they do. What is finished is kept: run the command "
                "again."
            )
        self._console.say(
            f"Worker {member.number + 1} {end}: it is started again, and its "
            "blocks are computed again."
        )
        self._left.extend(member.units.values())
        member.connection.close()
        self._members[member.number] = self._start(member.number)

    def _require_harmless(self, key: BlockKey, number: int, end: str) -> None:
        """Refuses a block that ends one worker after the other."""
        if self._deaths_of[number] >= MAX_DEATHS_OF_A_UNIT:
            raise RunnerError(
                f"Block {key.number} of {key.split}, rows {key.start:,} to "
                f"{key.stop - 1:,}, ended {MAX_DEATHS_OF_A_UNIT} workers. "
                "Expected: that they compute it. Received: one that "
                f"{end}. One of its pictures may be to blame, or memory that "
                "is short: take it out, or give fewer `--workers` or a lower "
                "`--batch-size`. What is finished is kept: run the command "
                "again."
            )


# === In the process of a worker ===


def _run_worker(
    order: WorkOrder, connection: Connection, gpus: str, is_verbose: bool
) -> None:
    """Answers for units until nobody asks any more."""
    os.environ[GPUS_VARIABLE] = gpus
    with (
        command(is_verbose=is_verbose, is_quiet=True),
        contextlib.suppress(EOFError, ConnectionError),  # Nobody asks any more.
    ):
        from embed.building.runners.worker import BlockWorker
        from embed.building.runners.worker import answer

        worker = answer(lambda: BlockWorker(order))
        if isinstance(worker, Failure):
            connection.send(worker)
            return
        lock = threading.Lock()

        def send(message: object) -> None:
            with lock:
                connection.send(message)

        def compute(unit: Unit, engine: str) -> None:
            try:
                send(
                    answer(
                        lambda: worker.compute(
                            unit, engine, lambda name: send(EngineChosen(name))
                        )
                    )
                )
            except BaseException:  # Nobody would ever hear of it.
                traceback.print_exc()
                os._exit(1)

        with ThreadPoolExecutor(UNITS_AT_ONCE) as pool:
            while True:
                pool.submit(compute, *connection.recv())
