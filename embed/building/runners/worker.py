"""A worker: it computes whole blocks in a process of its own, anywhere.

It reads and decodes the next block while it computes one, and writes the last.
It opens source and backbone itself, as the command did that it works for, and
makes sure that both are the same. A block that it is given twice, since an
answer was lost, it does not compute twice.
"""

import collections
import dataclasses
import pickle
import threading
import traceback
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from embed.backbones import load_backbone
from embed.backbones.sized import SizedBackbones
from embed.building.blocks import Block
from embed.building.blocks import add_to_block
from embed.building.blocks import read_block
from embed.building.clock import StageClock
from embed.building.current import CurrentPictures
from embed.building.current import find_rows
from embed.building.embedder import Embedder
from embed.building.folder import read_spec
from embed.building.folder import read_token
from embed.building.plan import Task
from embed.building.request import create_spec
from embed.building.result import TaskResult
from embed.building.runners.order import Failure
from embed.building.runners.order import Unit
from embed.building.runners.order import UnitReport
from embed.building.runners.order import WorkOrder
from embed.building.runners.turns import Turns
from embed.building.start import start_engine
from embed.console import Console
from embed.devices import num_cpu_threads
from embed.devices import prepare_devices
from embed.devices import use_threads
from embed.engines import Engine
from embed.engines.sized import SizedEngines
from embed.errors import EngineError
from embed.errors import PipelineError
from embed.errors import SourceError
from embed.errors import StorageError
from embed.images import ImageDecoder
from embed.provenance import host_name
from embed.sources import open_source
from embed.spec import describe_differences

Size = tuple[int, int]  # Height and width in pixels.


class Remarks(Console):
    """Keeps remarks, for whoever has a console."""

    def __init__(self) -> None:
        super().__init__(is_quiet=True)
        self._texts = collections.deque[str]()

    def say(self, text: str) -> None:
        """Keeps a remark."""
        self._texts.append(text)

    def take(self) -> tuple[str, ...]:
        """Returns what was said and not taken yet; each remark once."""
        texts = []
        while self._texts:
            texts.append(self._texts.popleft())
        return tuple(texts)


class BlockWorker:
    """Computes and writes the blocks of one build; two at a time gain most.

    Args:
        order: What is built.

    Raises:
        PipelineError: If source or backbone cannot be had here.
        SourceError: If they are not those of the command.
        StorageError: If this machine does not see the blocks of the build.
    """

    def __init__(self, order: WorkOrder) -> None:
        self._order, self._remarks = order, Remarks()
        use_threads(num_cpu_threads())
        prepare_devices()
        request = order.request
        backbone = load_backbone(request.backbone)
        self._source = open_source(request.source)
        spec = create_spec(request, self._source, backbone)
        if spec != order.spec:
            raise SourceError(
                "A worker finds other pictures, labels or weights than the "
                "command that it works for. "
                f"{describe_differences(order.spec, spec)} See to it that all "
                "machines have the same files under the same paths, and run "
                "the command again."
            )
        if (
            read_spec(order.blocks_dir) != spec
            or read_token(order.blocks_dir) != order.token
        ):
            raise StorageError(
                f"A worker does not find the folder {order.blocks_dir} of the "
                "build. Expected: one that all machines share. Give the "
                "command a shared folder or a store with `--blocks`."
            )
        self._backbones = SizedBackbones(request.backbone, backbone)
        self._decoder = ImageDecoder(spec.image_size, request.max_pixels)
        # By the input sizes that it runs: views of a unit may need others.
        self._engines: dict[frozenset[Size], Engine | SizedEngines] = {}
        self._choosing, self._turns = threading.Lock(), Turns()

    def choose_engine(self, unit: Unit) -> tuple[str, tuple[str, ...]]:
        """Returns the engine that is the fastest here, and what was tried.

        Args:
            unit: Whose pictures it is tried on.

        Returns:
            Its name, `""` where no picture of the unit is good, and remarks.
        """
        with self._open(unit, StageClock()) as embedder:
            first = embedder.look_ahead()
        engine = self._choose("", first, lambda name: None) if first else None
        return engine.name if engine else "", self._remarks.take()

    def compute(
        self,
        unit: Unit,
        engine: str,
        on_engine: Callable[[str], None] = lambda name: None,
    ) -> UnitReport:
        """Computes the rows of a block, unless it did so before.

        Args:
            unit: What to compute.
            engine: What runs the backbone in this build, `""` to choose.
            on_engine: Called with the name of one that is ready to compute.
        """
        path = unit.key.path_in(self._order.blocks_dir)
        there = read_block(path)
        found = [self._find_in(there, task) for task in unit.tasks]
        done = [result for result in found if result is not None]
        if engine and len(done) == len(unit.tasks):
            return UnitReport(unit.number, tuple(done), 0, {})
        clock = StageClock()
        with self._open(unit, clock) as embedder:
            first = embedder.look_ahead()
            chosen = self._choose(engine, first, on_engine) if first else None
            del first  # Many pixels, as long as they have a name.
            with self._turns.take() as before:
                computed = list(
                    embedder.compute(chosen, await_turn=before.wait)
                )
        with clock.measure("write"):
            results = [
                self._keep(task, result, stamps, there)
                for (task, result), stamps in zip(
                    computed, unit.stamps, strict=True
                )
            ]
        return UnitReport(
            number=unit.number,
            results=tuple(results),
            num_decoded=embedder.num_decoded,
            seconds=clock.seconds,
            remarks=self._remarks.take(),
        )

    def _open(self, unit: Unit, clock: StageClock) -> Embedder:
        return Embedder(
            source=self._source,
            decoder=self._decoder,
            tasks=unit.tasks,
            feature_dim=self._backbones.backbone.feature_dim,
            dtype=self._order.spec.dtype,
            clock=clock,
        )

    def _choose(
        self,
        name: str,
        images: Mapping[Size, np.ndarray],
        on_engine: Callable[[str], None],
    ) -> Engine | SizedEngines:
        """Returns the engine of this build, checked on its first images.

        Raises:
            EngineError: If it is not installed here, or not what it should be.
        """
        sizes = frozenset(images)
        with self._choosing:
            if sizes not in self._engines:
                engine = start_engine(
                    self._order.request,
                    self._backbones,
                    images,
                    num_views=self._order.num_views,
                    earlier=name,
                    console=self._remarks,
                )
                if name and engine.name != name:
                    raise EngineError(
                        f"This build runs on the engine {name}, and a worker "
                        f"on {host_name()} would choose {engine.name}. "
                        "Expected: one engine for all rows. Install "
                        "`headstart[cpu]` on all machines, and where some "
                        "have a GPU and others have none, run again with "
                        f"`--engine {name}`: what is finished is kept."
                    )
                self._engines[sizes] = engine
                on_engine(engine.name)
            return self._engines[sizes]

    def _keep(
        self,
        task: Task,
        result: TaskResult,
        stamps: np.ndarray,
        there: Block | None,
    ) -> TaskResult:
        """Writes rows that have all views; others have yet to be completed.

        They are of one task of a block, so that no other adds to it meanwhile.

        Returns:
            The result, without features that are on disk.
        """
        is_whole = task.views == self._order.spec.views
        if result.features is None or not is_whole or not len(result.rows):
            return result
        block = result.to_block(
            self._source.splits[task.key.split].image_ids,
            result.features,
            stamps[np.isin(task.rows, result.rows)],
        )
        add_to_block(block, task.key.path_in(self._order.blocks_dir), there)
        return dataclasses.replace(result, features=None)

    def _find_in(self, block: Block | None, task: Task) -> TaskResult | None:
        """Returns the result of a task whose answer was lost."""
        if block is None or task.views != self._order.spec.views:
            return None
        split = task.key.split
        image_ids = self._source.splits[split].image_ids
        there = [image_id.decode() for image_id in block.image_ids.tolist()]
        wanted = [image_ids[row] for row in task.rows.tolist()]
        positions = find_rows(there, wanted)
        if (positions < 0).any():
            return None
        digests = block.content_digests[positions]
        pictures = CurrentPictures(self._source, Console(is_quiet=True))
        if not pictures.have(split, task.rows, digests).all():
            return None
        return TaskResult(
            rows=task.rows,
            features=None,
            content_digests=digests,
            is_oriented=block.is_oriented[positions],
            bad=(),
        )


def answer(work: Callable[[], Any]) -> Any:
    """Returns what some work of a worker returns, or a `Failure`."""
    try:
        return work()
    except (PipelineError, OSError) as error:
        trace = traceback.format_exc()
        try:  # Some cannot be sent, or not be made again of what was sent.
            pickle.loads(pickle.dumps(error))  # noqa: S301
        except Exception:
            return Failure(None, trace)
        return Failure(error)
    except Exception:
        return Failure(None, traceback.format_exc())
