"""What a build costs here, for the simulation: measured in one process.

No worker is started for it. A folder of few pictures is embedded, one of more,
and a cache is asked for that is there already, each by a command and from
outside; by the command's own account what of that was the pass. How much
blocks differ is seen from inside, once.
"""

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

from benchmarks.commands import command_of_ours
from benchmarks.fleet import Work
from benchmarks.measure import Values
from benchmarks.with_keras import HANDLE
from benchmarks.with_keras import IMAGE_SIDE
from benchmarks.with_keras import request_backbone
from embed.building.blocks import BLOCK_ROWS
from embed.console import Console
from embed.console import Progress
from embed.devices import num_cpu_threads

ROOT = Path(__file__).parents[1]
ENGINE = "litert"
START_RAY = """
from embed.building.runners.cluster import connect
import ray.data
connect(None)
ray.get(ray.remote(max_calls=1)(lambda: None).remote())
class Pass:
    def __call__(self, batch):
        return batch
context = ray.data.DataContext.get_current()
context.enable_progress_bars = False
context.enable_operator_progress_bars = False
pool = ray.data.ActorPoolStrategy(size=1)
ray.data.from_items([{"item": 0}]).map_batches(Pass, compute=pool).take_all()
ray.shutdown()
"""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What a build costs on this machine.

    Args:
        driver_seconds: From the start of a command to its plan; a worker
            needs as much until it has opened source and backbone.
        engine_seconds: From there until the backbone is converted.
        block_seconds: Core-seconds of a block.
        assembly_seconds: Seconds of a block in the file at the end.
        spread: Standard deviation of a block's seconds, over their mean.
    """

    driver_seconds: float
    engine_seconds: float
    block_seconds: float
    assembly_seconds: float
    spread: float

    @classmethod
    def of(
        cls, values: Values, num_few: int, num_many: int, spread: float
    ) -> "Calibration":
        """Calculates it from what was measured.

        Args:
            values: Of `measure_costs`.
            num_few: Blocks of the smaller folder.
            num_many: Blocks of the larger one.
            spread: Of blocks.
        """
        # What is not the pass: start-up, and the assembly of the blocks.
        few, many = (
            values[name] - values[f"{name} pass"] for name in ("few", "many")
        )
        assembly_seconds = max((many - few) / (num_many - num_few), 0.0)
        of_pass = values["few pass"] + values["many pass"]
        block_seconds = of_pass / (num_few + num_many)
        return cls(
            driver_seconds=values["there"],
            engine_seconds=few - num_few * assembly_seconds - values["there"],
            block_seconds=block_seconds * num_cpu_threads(),
            assembly_seconds=assembly_seconds,
            spread=spread,
        )

    def describe_work(self, num_blocks: int) -> Work:
        """Returns the work of a build of so many blocks."""
        return Work(
            num_blocks=num_blocks,
            block_seconds=self.block_seconds,
            spread=self.spread,
            driver_seconds=self.driver_seconds,
            worker_seconds=self.driver_seconds,
            engine_seconds=self.engine_seconds,
            assembly_seconds=self.assembly_seconds * num_blocks,
        )


def measure_costs(folder: Path, weights: str) -> Values:
    """Runs the three commands, and returns what they took.

    Args:
        folder: With pictures in `few` and `many`.
        weights: Of the backbone.
    """
    values = {}
    for name in ("few", "many"):
        command = command_of_build(folder / name, weights)
        values[name], printed = run_command(command)
        values[f"{name} pass"] = json.loads(printed)["seconds_by_stage"]["pass"]
    again = command_of_build(folder / "few", weights, is_overwrite=False)
    values["there"], _ = run_command(again)
    return values


def measure_ray() -> float:
    """Returns the seconds that a cluster of this machine takes to start."""
    return run_command([sys.executable, "-c", START_RAY])[0]


def command_of_build(
    pictures: Path,
    weights: str,
    more: Sequence[str] = (),
    *,
    is_overwrite: bool = True,
) -> list[str]:
    """Returns our command on a folder of pictures, one view each."""
    words = ["--backbone", HANDLE, "--weights", weights, "--views", "plain"]
    words += ["--image-size", str(IMAGE_SIDE), "--engine", ENGINE, "--json"]
    command = command_of_ours(
        [*words, *more],
        pictures,
        pictures.with_name(f"{pictures.name}-built"),
        is_overwrite=is_overwrite,
    )
    return [sys.executable, "-m", *command]


def run_command(
    command: Sequence[str], kill_seconds: float | None = None
) -> tuple[float, str]:
    """Runs a command, and kills one of its workers meanwhile if asked to.

    Returns:
        The seconds that it took, and what it printed.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if kill_seconds is not None:
            time.sleep(kill_seconds)
            os.kill(_list_workers(process.pid)[-1], signal.SIGKILL)
        printed, _ = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, printed


def _list_workers(pid: int) -> list[int]:
    """Returns the processes that another one started to work for it."""
    folder = Path("/proc")  # Linux.
    children = (folder / f"{pid}/task/{pid}/children").read_text("ascii")
    return [
        int(child)
        for child in children.split()
        if b"spawn_main" in (folder / child / "cmdline").read_bytes()
    ]


def measure_spread(folder: Path, weights: str) -> float:
    """Builds a cache in this process, and returns how its blocks differ.

    Returns:
        The standard deviation of their seconds, over the mean.
    """
    from embed.building.request import BuildRequest
    from embed.extract import build_cache
    from embed.sources import SourceRequest

    console = BlockTimes()
    build_cache(
        BuildRequest(
            source=SourceRequest(dataset=f"folder:{folder / 'many'}"),
            backbone=request_backbone(weights),
            views=("plain",),
            engine=ENGINE,
        ),
        artifacts_dir=folder / "artifacts",
        cache_path=folder / "spread.h5",
        console=console,
    )
    seconds = console.seconds
    return statistics.stdev(seconds) / statistics.mean(seconds)


class BlockTimes(Console):
    """Notes when each block was embedded.

    Attributes:
        seconds: Of each block but the first, which begins early.
    """

    def __init__(self) -> None:
        super().__init__(is_quiet=True)
        self.seconds: list[float] = []

    @contextlib.contextmanager
    def progress(
        self, task: str, total: int, unit: str, done: int = 0
    ) -> Iterator[Progress]:
        """Receives how far the pass is."""
        yield _Stopwatch(self.seconds) if task == "Embedding" else Progress()


class _Stopwatch(Progress):
    """Measures the time between whole blocks.

    Args:
        seconds: Receives them.
    """

    def __init__(self, seconds: list[float]) -> None:
        self._seconds = seconds
        self._num_views = 0
        self._last: float | None = None

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Takes note of some views; there is one an image."""
        before = self._num_views // BLOCK_ROWS
        self._num_views += amount
        if self._num_views // BLOCK_ROWS == before:
            return
        now = time.perf_counter()
        if self._last is not None:
            self._seconds.append(now - self._last)
        self._last = now
