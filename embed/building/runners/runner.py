"""A runner: where the backbone runs, in this process or in workers."""

import abc
import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

from embed.backbones.sized import SizedBackbones
from embed.building.clock import StageClock
from embed.building.current import CurrentPictures
from embed.building.plan import Task
from embed.building.remote import AnyPath
from embed.building.request import BuildRequest
from embed.building.result import TaskResult
from embed.console import Console
from embed.devices import prepare_devices
from embed.sources import Source
from embed.spec import CacheSpec


@dataclasses.dataclass(frozen=True)
class Work:
    """What is left of a build to compute.

    Args:
        request: What is built.
        spec: What its rows are determined by.
        source: Where the pictures come from.
        pictures: The same, as they are now.
        backbones: What embeds them.
        blocks_dir: Where blocks lie.
        tasks: What to compute, block by block; one at least.
        earlier: Engine of the last attempt that needed one, `""` for none.
    """

    request: BuildRequest
    spec: CacheSpec
    source: Source
    pictures: CurrentPictures
    backbones: SizedBackbones
    blocks_dir: AnyPath
    tasks: Sequence[Task]
    earlier: str

    @property
    def num_views(self) -> int:
        """Views that are to be embedded."""
        return sum(task.num_views for task in self.tasks)


class Runner(abc.ABC):
    """Computes the tasks of a build, and counts what it does.

    A context: what it started ends with it.

    Args:
        work: What to compute.
        clock: Receives the seconds of each stage.
        console: Receives remarks.
    """

    def __init__(self, work: Work, clock: StageClock, console: Console) -> None:
        self._work, self._clock, self._console = work, clock, console

    def __enter__(self) -> "Runner":
        return self

    @abc.abstractmethod
    def __exit__(self, *error: object) -> None:
        """Ends what it started."""

    @property
    @abc.abstractmethod
    def num_computed(self) -> int:
        """Views run through the backbone so far."""

    @property
    @abc.abstractmethod
    def num_decoded(self) -> int:
        """Images decoded so far."""

    @abc.abstractmethod
    def start(self) -> str:
        """Gets ready, and returns the engine that was chosen and checked.

        Returns:
            Its name, `""` where no picture is good.

        Raises:
            PipelineError: If there is none, or nothing to run it on.
        """

    def describe(self) -> str:
        """Returns where the engine runs, for the end of a sentence, or `""`."""
        return ""

    def devices(self) -> str:
        """Returns what it runs on, for the provenance."""
        return prepare_devices().describe() + self.describe()

    @abc.abstractmethod
    def run(
        self,
        on_views: Callable[[int], None],
        on_task: Callable[[Task], None],
    ) -> Iterator[tuple[Task, TaskResult]]:
        """Yields what came of each task, in any order.

        Args:
            on_views: Called with the number of views that are done with: run
                through the backbone, or of pictures that are bad.
            on_task: Called for each task once it is known to be computed, in
                this process before it is.
        """
