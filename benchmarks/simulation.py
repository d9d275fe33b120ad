"""A build of a cache, event by event, without computing anything.

    driver -> workers -> one of them chooses the engine -> units -> assembly

A unit is what a worker is handed at a time: one block, or several where a
cluster is handed no more than 10,000 units. Workers share the processors of
their machine and fail; a machine may be taken away for a while. Blocks count
one by one: a worker that fails in the middle of a unit loses the block it is
at, and what it did not come to is given back. Four million blocks are 10,000
units of a cluster, which take a second.
"""

import dataclasses
import heapq
from collections.abc import Callable

import numpy as np

from benchmarks.processors import Processors

HOUR_SECONDS = 3_600.0


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be done.

    Args:
        num_blocks: Of 256 pictures each.
        block_seconds: Processor-seconds of a block, on average.
        spread: Standard deviation of that, over the average.
        blocks_a_unit: Blocks that a worker is handed at a time.
        units_ahead: Units with a worker at most, the one it is at among them.
        driver_seconds: Until the driver starts workers.
        worker_seconds: Processor-seconds of a worker's start.
        engine_seconds: Processor-seconds in which a worker converts the
            backbone and checks it.
        choice_seconds: Processor-seconds that the first one takes more, which
            chooses the engine; the others wait for it.
        is_chosen: Whether the engine is known when workers start.
        assembly_seconds: From the last block to the end.
    """

    num_blocks: int
    block_seconds: float
    spread: float = 0.0
    blocks_a_unit: int = 1
    units_ahead: int = 2
    driver_seconds: float = 0.0
    worker_seconds: float = 0.0
    engine_seconds: float = 0.0
    choice_seconds: float = 0.0
    is_chosen: bool = False
    assembly_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Fleet:
    """Who does it.

    Args:
        num_machines: All alike, but for those that are slow.
        num_processors: Cores of a machine, or its GPUs.
        num_workers: Of a machine.
        most_processors: That a worker keeps busy at most; in its start it is
            one.
        slow_share: Share of the machines that are slow.
        slow_factor: How many times as long these take.
        failures: Of a worker, an hour.
        preemptions: Of a machine, an hour.
        away_seconds: How long a machine is away then.
        kills: Seconds at which the last worker is killed.
    """

    num_machines: int = 1
    num_processors: int = 1
    num_workers: int = 1
    most_processors: float = 1.0
    slow_share: float = 0.0
    slow_factor: float = 1.0
    failures: float = 0.0
    preemptions: float = 0.0
    away_seconds: float = 600.0
    kills: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a build went.

    Args:
        seconds: From its start to the finished cache.
        num_blocks: Blocks that were finished, each once.
        done_seconds: Processor-seconds of these.
        lost_seconds: Processor-seconds of blocks that were begun in vain.
        num_lost: Blocks that were begun in vain.
        num_failures: Of workers, kills among them.
        num_preemptions: Of machines.
        utilisation: Share of all processor-seconds that went into blocks.
    """

    seconds: float
    num_blocks: int
    done_seconds: float
    lost_seconds: float
    num_lost: int
    num_failures: int
    num_preemptions: int
    utilisation: float

    @property
    def lost_share(self) -> float:
        """Share of the work on blocks that was in vain."""
        return self.lost_seconds / (self.done_seconds + self.lost_seconds)


def simulate(work: Work, fleet: Fleet, seed: int = 0) -> Outcome:
    """Returns how a build goes; with the same seed, the same way."""
    return _Simulation(work, fleet, np.random.default_rng(seed)).run()


@dataclasses.dataclass(eq=False)
class _Worker:
    """One worker.

    Args:
        machine: The processors that it shares.
        life: Number of times it was started: what was due before is void.
        is_ready: Whether it can be handed units.
        units: Numbers of blocks of the units it was handed, the one it is at
            first.
        size: Processor-seconds of that one, 0 before it is at one.
        then: What follows when it has the processor-seconds it needs.
    """

    machine: "Processors[_Worker]"
    life: int = 0
    is_ready: bool = False
    units: list[int] = dataclasses.field(default_factory=list)
    size: float = 0.0
    then: Callable[[], None] = lambda: None


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
        self._chooser: _Worker | None = None
        self._is_chosen = work.is_chosen
        self._waiting: list[_Worker] = []  # For the engine to be chosen.
        # Time, a number that says which of two came first, and what happens.
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._num_events = 0
        num_slow = round(fleet.slow_share * fleet.num_machines)
        self._machines = [
            Processors[_Worker](
                fleet.num_processors,
                speed=1 / fleet.slow_factor if number < num_slow else 1.0,
            )
            for number in range(fleet.num_machines)
        ]
        self._workers = [
            _Worker(machine)
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

    def _start(self, worker: _Worker) -> None:
        worker.life += 1
        life = worker.life
        if self._fleet.failures:
            self._at(
                self._draw_time(self._fleet.failures),
                lambda: self._fail(worker) if worker.life == life else None,
            )
        self._use(
            worker,
            self._work.worker_seconds,
            then=lambda: self._prepare(worker),
        )

    def _prepare(self, worker: _Worker) -> None:
        """Has a worker convert the backbone, once the engine is chosen."""
        size = self._work.engine_seconds
        if not self._is_chosen and self._chooser is not None:
            self._waiting.append(worker)
            return
        if not self._is_chosen:
            self._chooser = worker
            size += self._work.choice_seconds

        def then() -> None:
            worker.is_ready = True
            self._is_chosen = True
            for other in self._take_waiting():
                self._prepare(other)
            self._ask(worker)

        self._use(worker, size, then=then)

    def _take_waiting(self) -> list[_Worker]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _ask(self, worker: _Worker) -> None:
        """Hands a worker its next units and has it compute the first."""
        work = self._work
        while self._num_left and len(worker.units) < work.units_ahead:
            num_blocks = min(work.blocks_a_unit, self._num_left)
            self._num_left -= num_blocks
            worker.units.append(num_blocks)
        if not worker.units:
            return
        worker.size = self._draw_size(worker.units[0])

        def then() -> None:
            self._num_done += worker.units.pop(0)
            self._done_seconds += worker.size
            worker.size = 0.0
            self._ask(worker)

        self._use(
            worker, worker.size, most=self._fleet.most_processors, then=then
        )

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

    def _fail(self, worker: _Worker) -> None:
        self._num_failures += 1
        self._stop(worker)
        self._start(worker)
        self._hand_on()

    def _plan_preemption(self, machine: "Processors[_Worker]") -> None:
        if self._fleet.preemptions:
            self._at(
                self._draw_time(self._fleet.preemptions),
                lambda: self._preempt(machine),
            )

    def _preempt(self, machine: "Processors[_Worker]") -> None:
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

    def _stop(self, worker: _Worker) -> None:
        """Ends a worker: the block that it is at is lost, others go back."""
        left = worker.machine.remove(self._now, worker)
        self._watch(worker.machine)
        if worker.size:
            num_blocks, used = worker.units[0], worker.size - left
            # The last block is not done, whatever rounding says.
            num_done = min(int(num_blocks * used / worker.size), num_blocks - 1)
            of_done = worker.size * num_done / num_blocks
            self._num_done += num_done
            self._num_left -= num_done
            self._done_seconds += of_done
            self._lost_seconds += used - of_done
            self._num_lost += 1
        self._num_left += sum(worker.units)
        worker.units, worker.size, worker.is_ready = [], 0.0, False
        worker.life += 1
        if worker is self._chooser:
            self._chooser = None
        if worker in self._waiting:
            self._waiting.remove(worker)

    def _hand_on(self) -> None:
        """Gives what a worker left behind to those who wait."""
        for worker in self._take_waiting():
            self._prepare(worker)
        for worker in self._workers:
            if worker.is_ready and not worker.units:
                self._ask(worker)

    # === Processors ===

    def _use(
        self,
        worker: _Worker,
        size: float,
        *,
        most: float = 1.0,
        then: Callable[[], None],
    ) -> None:
        """Has a worker use processors of its machine, and then go on."""
        worker.then = then
        worker.machine.add(self._now, worker, size, most)
        self._watch(worker.machine)

    def _watch(self, machine: "Processors[_Worker]") -> None:
        """Notes when the next of a machine's workers has what it needs."""
        due = machine.next_end()
        if due is None:
            return
        time, worker, version = due

        def happen() -> None:
            if machine.version != version:  # Something came in between.
                return
            machine.remove(self._now, worker)
            without = machine.version
            worker.then()
            if machine.version == without:
                self._watch(machine)

        self._at(time, happen)
