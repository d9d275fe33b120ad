"""The runner of a build on one machine: the backbone runs in this process."""

from collections.abc import Callable
from collections.abc import Iterator

from embed.building.clock import StageClock
from embed.building.embedder import Embedder
from embed.building.plan import Task
from embed.building.result import TaskResult
from embed.building.runners.runner import Runner
from embed.building.runners.runner import Work
from embed.building.start import start_engine
from embed.console import Console
from embed.engines import Engine
from embed.engines.sized import SizedEngines
from embed.images import ImageDecoder


class InProcessRunner(Runner):
    """Computes in threads of this process, on all its cores or its GPU.

    Args:
        work: What to compute.
        clock: Receives the seconds of each stage.
        console: Receives remarks.
    """

    def __init__(self, work: Work, clock: StageClock, console: Console) -> None:
        super().__init__(work, clock, console)
        self._engine: Engine | SizedEngines | None = None
        self._embedder = Embedder(
            source=work.source,
            decoder=ImageDecoder(work.spec.image_size, work.request.max_pixels),
            tasks=work.tasks,
            feature_dim=work.backbones.backbone.feature_dim,
            dtype=work.spec.dtype,
            clock=clock,
        )

    def __enter__(self) -> "InProcessRunner":
        self._embedder.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._embedder.__exit__(*error)

    @property
    def num_computed(self) -> int:
        """Views run through the backbone so far."""
        return self._embedder.num_computed

    @property
    def num_decoded(self) -> int:
        """Images decoded so far."""
        return self._embedder.num_decoded

    def start(self) -> str:
        """Chooses the engine by the first pictures, and checks it on them."""
        work = self._work
        first = self._embedder.look_ahead()
        if not first:
            return ""
        self._engine = start_engine(
            work.request,
            work.backbones,
            first,
            num_views=work.num_views,
            earlier=work.earlier,
            console=self._console,
        )
        return self._engine.name

    def run(
        self,
        on_views: Callable[[int], None],
        on_task: Callable[[Task], None],
    ) -> Iterator[tuple[Task, TaskResult]]:
        """Yields what came of each task, in order."""
        return self._embedder.compute(
            self._engine, on_views=on_views, on_task=on_task
        )
