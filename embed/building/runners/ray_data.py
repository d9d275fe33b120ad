"""The runner of `--runner ray`: Ray Data over the machines of a cluster.

Units are a dataset of Ray; a pool of actors, each with a backbone and an
engine, turns it into reports. Ray starts an actor again whose machine is gone,
and hands out anew what it had: a block that was finished is found then, and
not computed again. One worker goes ahead of all others, to choose the engine.
"""

import pickle
import threading
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import ray
import ray.data

from embed.building.clock import StageClock
from embed.building.plan import Task
from embed.building.result import TaskResult
from embed.building.runners.cluster import connect
from embed.building.runners.cluster import divide_cluster
from embed.building.runners.cluster import list_machines
from embed.building.runners.cluster import say_lost_workers
from embed.building.runners.order import UNITS_AHEAD
from embed.building.runners.order import UNITS_AT_ONCE
from embed.building.runners.order import Failure
from embed.building.runners.order import UnitReport
from embed.building.runners.runner import Work
from embed.building.runners.with_workers import RunnerWithWorkers
from embed.building.runners.worker import BlockWorker
from embed.building.runners.worker import answer
from embed.console import Console
from embed.devices import limit_threads
from embed.processes import describe_threads
from embed.processes import describe_workers

PATIENCE_SECONDS = 60.0  # A worker starts in some 10 s.
MOST_ITEMS = 10_000  # Of a dataset: Ray keeps some kB of each on the driver.


class RayRunner(RunnerWithWorkers):
    """Computes in the actors of a Ray cluster.

    Args:
        work: What to compute.
        clock: Receives the seconds of each stage.
        console: Receives remarks.
    """

    def __init__(self, work: Work, clock: StageClock, console: Console) -> None:
        super().__init__(work, clock, console)
        # What is installed in the workers they say themselves.
        is_asked_for = work.request.engine in ("auto", work.earlier)
        self._engine = work.earlier if is_asked_for else ""
        self._is_ours = False
        self._num_workers = self._num_cpus = 1

    def __enter__(self) -> "RayRunner":
        request = self._work.request
        # A program that uses Ray has its cluster already.
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            connect(request.address)
        try:
            self._num_workers, self._num_cpus = divide_cluster(
                list_machines(), request.num_workers, request.gpus_per_worker
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_ours:
            ray.shutdown()

    def describe(self) -> str:
        """Returns how many workers there are, and what each has."""
        return f" in {self.devices()}"

    def devices(self) -> str:
        """Returns what the workers have: this machine computes nothing."""
        gpus, share = self._work.request.gpus_per_worker, ""
        if gpus:
            share = f"{gpus:g} GPU{'s' if gpus > 1 else ''} and "
        share += describe_threads(self._num_cpus)
        return describe_workers(self._num_workers, share, " on Ray")

    def start(self) -> str:
        """Has one worker choose the engine by the first good pictures."""
        scout = ray.remote(
            num_cpus=self._num_cpus,
            num_gpus=self._work.request.gpus_per_worker,
            max_calls=1,  # Or its backbone would stay in memory.
        )(_choose_alone)
        for unit in self._units:
            if self._engine:
                break
            chosen = scout.remote(
                self._packed_order(), pickle.dumps(unit), self._num_cpus
            )
            while not ray.wait([chosen], timeout=PATIENCE_SECONDS)[0]:
                self._console.say(
                    "Waiting for a first worker on Ray: it starts, or the "
                    "cluster has no room for it now."
                )
            with say_lost_workers():
                packed = ray.get(chosen)
            self._engine, remarks = _unpack(packed)
            for remark in remarks:
                self._console.say(remark)
        return self._engine

    def run(
        self,
        on_views: Callable[[int], None],
        on_task: Callable[[Task], None],
    ) -> Iterator[tuple[Task, TaskResult]]:
        """Yields what came of each task, as workers answer."""
        with say_lost_workers():
            for batch in self._map_units().iter_batches(
                batch_size=None, prefetch_batches=0
            ):
                for packed in batch["report"]:
                    report: UnitReport = _unpack(packed)
                    yield from self._take(report, on_views, on_task)

    def _map_units(self) -> "ray.data.Dataset":
        """Returns the dataset of the reports of all units."""
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.enable_operator_progress_bars = False
        items = [{"unit": pickle.dumps(unit)} for unit in self._units]
        return ray.data.from_items(
            items, override_num_blocks=min(len(items), MOST_ITEMS)
        ).map_batches(
            RayWorker,
            fn_constructor_args=(
                self._packed_order(),
                self._engine,
                self._num_cpus,
            ),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                max_size=self._num_workers,
                initial_size=min(self._num_workers, len(items)),
                max_tasks_in_flight_per_actor=UNITS_AHEAD,
                max_concurrent_calls_per_actor=UNITS_AT_ONCE,
                enable_true_multi_threading=True,
            ),
            num_cpus=self._num_cpus,
            num_gpus=self._work.request.gpus_per_worker,
        )

    def _packed_order(self) -> bytes:
        return pickle.dumps(self._order(self._num_workers))


class RayWorker:
    """An actor of the pool: a `BlockWorker`, made when it is first asked.

    Args:
        order: What is built, a pickled `WorkOrder`.
        engine: What runs the backbone in this build, `""` to choose.
        num_threads: CPU threads it may use.
    """

    def __init__(self, order: bytes, engine: str, num_threads: int) -> None:
        limit_threads(num_threads)
        self._order, self._engine = order, engine
        self._starting = threading.Lock()
        self._worker: BlockWorker | Failure | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Computes the units of a batch; units and reports are pickled."""
        reports = [self.compute(packed) for packed in batch["unit"]]
        return {"report": np.array(reports, object)}

    def compute(self, packed: bytes) -> bytes:
        """Computes one unit; what fails is a report too."""
        unit = _load(packed)
        with self._starting:
            if self._worker is None:
                self._worker = answer(lambda: BlockWorker(_load(self._order)))
            worker = self._worker
        if isinstance(worker, Failure):
            return pickle.dumps(worker)
        return pickle.dumps(answer(lambda: worker.compute(unit, self._engine)))


def _choose_alone(order: bytes, unit: bytes, num_threads: int) -> bytes:
    """Chooses the engine in a process that ends then."""
    limit_threads(num_threads)
    return pickle.dumps(
        answer(lambda: BlockWorker(_load(order)).choose_engine(_load(unit)))
    )


def _unpack(packed: bytes) -> Any:
    """Returns what a worker answers.

    Raises:
        PipelineError: If it could not, and the user can act on it.
    """
    answered = _load(packed)
    if isinstance(answered, Failure):
        answered.raise_here()
    return answered


def _load(packed: bytes) -> Any:
    """Returns what this program pickled, in this process or another."""
    return pickle.loads(packed)  # noqa: S301
