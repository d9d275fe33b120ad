"""What workers are told, and what they answer: all of it can be pickled."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from embed.building.blocks import BlockKey
from embed.building.current import CurrentPictures
from embed.building.plan import Task
from embed.building.remote import AnyPath
from embed.building.request import BuildRequest
from embed.building.result import TaskResult
from embed.errors import RunnerError
from embed.provenance import host_name
from embed.spec import CacheSpec

# In a worker: one has the engine, the next is decoded or the last is written.
UNITS_AT_ONCE = 2
UNITS_AHEAD = UNITS_AT_ONCE + 1  # Given to a worker: it never waits for one.


@dataclasses.dataclass(frozen=True)
class WorkOrder:
    """What a worker needs to know of a build.

    Args:
        request: What is built, good from any folder.
        spec: What its rows are determined by, there as here.
        blocks_dir: Where its blocks lie.
        token: What this attempt wrote there (`embed.building.folder`).
        num_views: Views that each worker embeds, about.
    """

    request: BuildRequest
    spec: CacheSpec
    blocks_dir: AnyPath
    token: str
    num_views: int


@dataclasses.dataclass(frozen=True)
class Unit:
    """The tasks of one block, for one worker, so that only it writes there.

    Args:
        number: Its number in the pass.
        tasks: What to compute, one at least.
        stamps: Of the pictures of each task, int64 `(num_rows, 3)`.
    """

    number: int
    tasks: tuple[Task, ...]
    stamps: tuple[np.ndarray, ...]

    @property
    def key(self) -> BlockKey:
        """The block."""
        return self.tasks[0].key


@dataclasses.dataclass(frozen=True)
class UnitReport:
    """What came of a unit.

    Args:
        number: Of the unit.
        results: By task; features are left out that are on disk already.
        num_decoded: Images decoded.
        seconds: By stage, summed over threads.
        remarks: What the worker found out, for people.
    """

    number: int
    results: tuple[TaskResult, ...]
    num_decoded: int
    seconds: dict[str, float]
    remarks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a worker could not do its work.

    Args:
        error: What was raised, where its message is for the user.
        trace: Else the traceback, as text.
        host: Name of its machine.
    """

    error: Exception | None
    trace: str = ""
    host: str = dataclasses.field(default_factory=host_name)

    def raise_here(self) -> None:
        """Raises what the worker raised.

        Raises:
            PipelineError: If the user can act on it.
            OSError: If a file or disk failed here.
            RuntimeError: If it is a fault of the program.
        """
        if self.error is None:
            raise RuntimeError(f"A worker on {self.host}:\n{self.trace}")
        if self.host == host_name():
            raise self.error
        raise RunnerError(
            f"On the machine {self.host}: {self.error}"
        ) from self.error


def list_units(tasks: Sequence[Task], pictures: CurrentPictures) -> list[Unit]:
    """Divides tasks by block.

    Args:
        tasks: What to compute, block by block.
        pictures: As they are now.
    """
    of_block: dict[BlockKey, list[Task]] = {}
    for task in tasks:
        of_block.setdefault(task.key, []).append(task)
    return [
        Unit(
            number=number,
            tasks=tuple(of_key),
            stamps=tuple(pictures.stamps(key.split)[t.rows] for t in of_key),
        )
        for number, (key, of_key) in enumerate(of_block.items())
    ]
