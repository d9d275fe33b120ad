"""What is common to runners whose work is done in other processes."""

from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

from embed.building.clock import StageClock
from embed.building.folder import read_token
from embed.building.plan import Task
from embed.building.result import TaskResult
from embed.building.runners.order import UnitReport
from embed.building.runners.order import WorkOrder
from embed.building.runners.order import list_units
from embed.building.runners.runner import Runner
from embed.building.runners.runner import Work
from embed.console import Console


class RunnerWithWorkers(Runner):
    """Hands out blocks, and takes what comes back.

    Args:
        work: What to compute.
        clock: Receives the seconds of each stage.
        console: Receives remarks.
    """

    def __init__(self, work: Work, clock: StageClock, console: Console) -> None:
        super().__init__(work, clock, console)
        self._units = list_units(work.tasks, work.pictures)
        self._num_computed = self._num_decoded = 0

    @property
    def num_computed(self) -> int:
        """Views run through the backbone so far, of whole blocks."""
        return self._num_computed

    @property
    def num_decoded(self) -> int:
        """Images decoded so far, of whole blocks."""
        return self._num_decoded

    def _order(self, num_workers: int) -> WorkOrder:
        """Returns what each of some workers needs to know."""
        work, blocks_dir = self._work, self._work.blocks_dir
        if isinstance(blocks_dir, Path):
            blocks_dir = blocks_dir.absolute()
        return WorkOrder(
            request=work.request,
            spec=work.spec,
            blocks_dir=blocks_dir,
            token=read_token(blocks_dir),
            num_views=-(-work.num_views // num_workers),
        )

    def _take(
        self,
        report: UnitReport,
        on_views: Callable[[int], None],
        on_task: Callable[[Task], None],
    ) -> Iterator[tuple[Task, TaskResult]]:
        """Yields what came of the tasks of a unit."""
        self._clock.add(report.seconds)
        self._num_decoded += report.num_decoded
        for remark in report.remarks:
            self._console.say(remark)
        tasks = self._units[report.number].tasks
        for task, result in zip(tasks, report.results, strict=True):
            on_task(task)
            self._num_computed += len(result.rows) * len(task.views)
            on_views(task.num_views)
            yield task, result
