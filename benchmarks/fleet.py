"""What a simulated build is given, and how it went."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be done.

    Args:
        num_blocks: Of 256 pictures each.
        block_seconds: Processor-seconds of a block, on average.
        spread: Standard deviation of that, over the average.
        blocks_a_unit: Blocks that a worker is handed at a time.
        units_at_once: Units that a worker is at.
        units_ahead: Units with a worker at most, those among them.
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
    units_at_once: int = 2
    units_ahead: int = 3
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
