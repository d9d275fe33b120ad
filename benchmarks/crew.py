"""The workers of a simulated build, and what they use processors for."""

import dataclasses
from collections.abc import Callable

from benchmarks.processors import Processors


@dataclasses.dataclass(eq=False)
class Job:
    """What a worker uses processors for: a unit, or to start.

    Args:
        worker: Whose job it is.
        size: Processor-seconds.
        then: What follows.
        num_blocks: Of the unit; none of a start.
    """

    worker: "Worker"
    size: float
    then: Callable[[], None]
    num_blocks: int = 0


@dataclasses.dataclass(eq=False)
class Worker:
    """One worker.

    Args:
        machine: The processors that it shares.
        is_there: Whether its process runs.
        is_ready: Whether it can embed.
        life: Number of times it was started: what was due before is void.
        jobs: What it is at.
        waiting: Blocks of the units it was handed and did not come to.
    """

    machine: Processors[Job]
    is_there: bool = False
    is_ready: bool = False
    life: int = 0
    jobs: list[Job] = dataclasses.field(default_factory=list)
    waiting: list[int] = dataclasses.field(default_factory=list)
