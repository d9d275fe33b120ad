"""A build of a cache, event by event, without computing anything.

    driver -> workers -> one of them chooses the engine -> units -> assembly

A unit is what a worker is handed at a time: one block, or several where a
cluster is handed no more than 10,000 units. Workers share the processors of
their machine and fail; a machine may be taken away for a while. A worker is at
two units at once, so that it reads for one while it computes the other. Blocks
count one by one: where a worker fails in the middle of units the blocks it is
at are lost, and what it did not come to is given back. Four million blocks are
10,000 units of a cluster, which take a second.
"""

import functools
import heapq
from collections.abc import Callable

import numpy as np

from benchmarks.crew import Job
from benchmarks.crew import Worker
from benchmarks.fleet import Fleet
from benchmarks.fleet import Outcome
from benchmarks.fleet import Work
from benchmarks.processors import Processors

HOUR_SECONDS = 3_600.0


def simulate(work: Work, fleet: Fleet, seed: int = 0) -> Outcome:
    """Returns how a build goes; with the same seed, the same way."""
    return _Simulation(work, fleet, np.random.default_rng(seed)).run()


class _Simulation:
    """One build on its way.

    Args:
        work: What is to be done.
        fleet: Who does it.
        rng: Draws what blocks take, and failures.
    """

    def __init__(
        self, work: Work, fleet: Fleet, rng: np.random.Generator
    ) -> None:
        self._work, self._fleet, self._rng = work, fleet, rng
        self._now = work.driver_seconds
        self._num_left, self._num_done = work.num_blocks, 0
        self._done_seconds = self._lost_seconds = 0.0
        self._num_lost = self._num_failures = self._num_preemptions = 0
        self._chooser: Worker | None = None
        self._is_chosen = work.is_chosen
        self._undecided: list[Worker] = []  # Wait for the choice.
        # Time, a number that says which of two came first, and what happens.
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._num_events = 0
        num_slow = round(fleet.slow_share * fleet.num_machines)
        self._machines = [
            Processors[Job](
                fleet.num_processors,
                speed=1 / fleet.slow_factor if number < num_slow else 1.0,
            )
            for number in range(fleet.num_machines)
        ]
        self._workers = [
            Worker(machine)
            for machine in self._machines
            for _ in range(fleet.num_workers)
        ]

    def run(self) -> Outcome:
        """Goes from event to event until all blocks are done."""
        for machine in self._machines:
            self._plan_preemption(machine)
        for time in self._fleet.kills:
            self._at(time, lambda: self._fail(self._workers[-1]))
        for worker in self._workers:
            self._start(worker)
        while self._num_done < self._work.num_blocks:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
        fleet = self._fleet
        seconds = self._now + self._work.assembly_seconds
        num_processors = fleet.num_machines * fleet.num_processors
        return Outcome(
            seconds=seconds,
            num_blocks=self._num_done,
            done_seconds=self._done_seconds,
            lost_seconds=self._lost_seconds,
            num_lost=self._num_lost,
            num_failures=self._num_failures,
            num_preemptions=self._num_preemptions,
            utilisation=self._done_seconds / (seconds * num_processors),
        )

    def _at(self, time: float, happen: Callable[[], None]) -> None:
        self._num_events += 1
        heapq.heappush(self._events, (time, self._num_events, happen))

    def _draw_time(self, rate: float) -> float:
        """Returns when something happens next that does so `rate` an hour."""
        return self._now + float(self._rng.exponential(HOUR_SECONDS / rate))

    # === Workers ===

    def _start(self, worker: Worker) -> None:
        worker.life += 1
        worker.is_there = True
        life = worker.life
        if self._fleet.failures:
            self._at(
                self._draw_time(self._fleet.failures),
                lambda: self._fail(worker) if worker.life == life else None,
            )
        self._use(
            Job(
                worker,
                self._work.worker_seconds,
                lambda: self._prepare(worker),
            )
        )

    def _prepare(self, worker: Worker) -> None:
        """Has a worker convert the backbone, once the engine is chosen."""
        size = self._work.engine_seconds
        if not self._is_chosen and self._chooser is not None:
            self._undecided.append(worker)
            return
        if not self._is_chosen:
            self._chooser = worker
            size += self._work.choice_seconds

        def then() -> None:
            worker.is_ready = self._is_chosen = True
            self._decide()
            self._hand_out()
            self._embed(worker)

        self._use(Job(worker, size, then))

    def _decide(self) -> None:
        """Has those prepare who wait for the engine to be chosen."""
        undecided, self._undecided = self._undecided, []
        for worker in undecided:
            self._prepare(worker)

    def _hand_out(self) -> None:
        """Gives units to all workers in turn, also those that still start."""
        for _ in range(self._work.units_ahead):
            for worker in self._workers if self._num_left else ():
                if worker.is_there:
                    self._hand(worker)

    def _hand(self, worker: Worker) -> None:
        """Gives a worker a unit, if it has not as many as it may."""
        count = len(worker.waiting) + len(worker.jobs) * worker.is_ready
        num_blocks = min(self._work.blocks_a_unit, self._num_left)
        if num_blocks and count < self._work.units_ahead:
            self._num_left -= num_blocks
            worker.waiting.append(num_blocks)

    def _embed(self, worker: Worker) -> None:
        """Has a worker begin with units that it was handed."""
        while worker.waiting and len(worker.jobs) < self._work.units_at_once:
            num_blocks = worker.waiting.pop(0)
            size = self._draw_size(num_blocks)
            job = Job(worker, size, lambda: None, num_blocks)
            job.then = functools.partial(self._end_unit, job)
            self._use(job)
        for job in worker.jobs:
            most = self._fleet.most_processors / len(worker.jobs)
            worker.machine.limit(self._now, job, most)
        self._watch(worker.machine)

    def _end_unit(self, job: Job) -> None:
        self._num_done += job.num_blocks
        self._done_seconds += job.size
        self._hand(job.worker)
        self._embed(job.worker)

    def _draw_size(self, num_blocks: int) -> float:
        """Returns the processor-seconds of some blocks.

        Those of one follow a gamma distribution: then those of several, which
        are drawn at once, do so too.
        """
        mean, variance = self._work.block_seconds, self._work.spread**2
        if not variance:
            return num_blocks * mean
        return float(self._rng.gamma(num_blocks / variance, mean * variance))

    # === What goes wrong ===

    def _fail(self, worker: Worker) -> None:
        self._num_failures += 1
        self._stop(worker)
        self._start(worker)
        self._hand_on()

    def _plan_preemption(self, machine: Processors[Job]) -> None:
        if self._fleet.preemptions:
            self._at(
                self._draw_time(self._fleet.preemptions),
                lambda: self._preempt(machine),
            )

    def _preempt(self, machine: Processors[Job]) -> None:
        """Takes a machine away, and gives it back later."""
        self._num_preemptions += 1
        gone = [w for w in self._workers if w.machine is machine]
        for worker in gone:
            self._stop(worker)
        self._hand_on()

        def come_back() -> None:
            for worker in gone:
                self._start(worker)
            self._plan_preemption(machine)

        self._at(self._now + self._fleet.away_seconds, come_back)

    def _stop(self, worker: Worker) -> None:
        """Ends a worker: the blocks that it is at are lost, others go back."""
        for job in worker.jobs:
            left = worker.machine.remove(self._now, job)
            if not job.num_blocks:
                continue
            used = job.size - left
            # The last block is not done, whatever rounding says.
            num_done = min(
                int(job.num_blocks * used / job.size), job.num_blocks - 1
            )
            of_done = job.size * num_done / job.num_blocks
            self._num_done += num_done
            self._num_left += job.num_blocks - num_done
            self._done_seconds += of_done
            self._lost_seconds += used - of_done
            self._num_lost += 1
        self._num_left += sum(worker.waiting)
        worker.jobs, worker.waiting = [], []
        worker.is_there = worker.is_ready = False
        worker.life += 1
        self._watch(worker.machine)
        if worker is self._chooser:
            self._chooser = None
        if worker in self._undecided:
            self._undecided.remove(worker)

    def _hand_on(self) -> None:
        """Gives what a worker left behind to those who are there."""
        self._decide()
        if self._is_chosen:
            self._hand_out()
        for worker in self._workers:
            if worker.is_ready:
                self._embed(worker)

    # === Processors ===

    def _use(self, job: Job) -> None:
        """Has a worker use one processor of its machine for a job."""
        machine = job.worker.machine
        job.worker.jobs.append(job)
        machine.add(self._now, job, job.size, most=1.0)
        self._watch(machine)

    def _watch(self, machine: Processors[Job]) -> None:
        """Notes when the next job on a machine is done."""
        due = machine.next_end()
        if due is None:
            return
        time, job, version = due

        def happen() -> None:
            if machine.version != version:  # Something came in between.
                return
            machine.remove(self._now, job)
            without = machine.version
            job.worker.jobs.remove(job)
            job.then()
            if machine.version == without:
                self._watch(machine)

        self._at(time, happen)
