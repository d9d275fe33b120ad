"""The building of one cache: what is missing, computed; then the file."""

from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embed.backbones.pixel_warning import warn_of_pixels
from embed.backbones.sized import SizedBackbones
from embed.building.assembly import Assembly
from embed.building.assembly import name_caches
from embed.building.blocks import add_to_block
from embed.building.blocks import list_blocks
from embed.building.blocks import read_block
from embed.building.clock import StageClock
from embed.building.current import CurrentPictures
from embed.building.folder import begin_blocks
from embed.building.folder import build_dir_of
from embed.building.folder import finish_blocks
from embed.building.journal import Journal
from embed.building.journal import find_last_engine
from embed.building.journal import read_journal
from embed.building.parents import BlocksParent
from embed.building.parents import CacheParent
from embed.building.parents import Parent
from embed.building.plan import Plan
from embed.building.plan import Task
from embed.building.plan import make_plan
from embed.building.remote import AnyPath
from embed.building.request import BuildRequest
from embed.building.result import BadImage
from embed.building.result import TaskResult
from embed.building.runners import create_runner
from embed.building.runners.runner import Work
from embed.cache import FeatureCache
from embed.console import Console
from embed.console import format_seconds
from embed.devices import prepare_devices
from embed.errors import DamagedParentError
from embed.errors import SourceError
from embed.provenance import Provenance
from embed.provenance import host_name
from embed.provenance import installed_versions
from embed.provenance import now
from embed.sources import Source
from embed.spec import CacheSpec
from embed.storage.seal import BUILD_COMMAND


class Build:
    """The building of one cache, whose blocks outlive a kill.

    Args:
        request: What to build.
        spec: What its rows are determined by.
        source: Where the images come from.
        pictures: The same, as they are now.
        backbones: What embeds them.
        path: Where the finished cache goes.
        find_parents: Says where rows may be known already; asked once more
            when one of these is gone.
        blocks_dir: Where its blocks lie; default: beside the cache.
    """

    def __init__(
        self,
        request: BuildRequest,
        spec: CacheSpec,
        source: Source,
        pictures: CurrentPictures,
        backbones: SizedBackbones,
        path: Path,
        find_parents: Callable[[], Sequence[Parent]],
        blocks_dir: AnyPath | None = None,
    ) -> None:
        self._request, self._spec, self._source = request, spec, source
        self._pictures, self._backbones = pictures, backbones
        self._feature_dim = backbones.backbone.feature_dim
        self._path = path
        self._find_parents = find_parents
        self._parents = list(find_parents())
        self._build_dir = build_dir_of(path)
        self._blocks_dir = blocks_dir or self._build_dir
        self._keys = list_blocks(
            {name: split.num_images for name, split in spec.splits.items()}
        )
        self._bad: dict[tuple[str, int], BadImage] = {}
        self.num_computed = 0
        self.num_decoded = 0
        self.seconds: dict[str, float] = {}
        self._last_seconds: dict[str, float] = {}  # Of the last attempt.
        self._devices = ""  # Of the last attempt, in words.

    def finish(self, console: Console) -> FeatureCache:
        """Computes what nobody knows and writes the cache.

        A parent that turns out to be damaged is read through once; what it
        does not hold any more is computed. Another build whose blocks are gone
        has mostly finished: its rows are looked for again.

        Raises:
            CorruptCacheError: If blocks of this build are gone.
            BadImagesError: If pictures could not be decoded and the request
                is to fail then, or if nothing of a split would be left. The
                good rows are kept.
        """
        while True:
            try:
                plan = self._compute_missing(console)
                return self._assemble(plan, console)
            except DamagedParentError as error:
                damaged = [p for p in self._parents if p.path == error.path]
                if not damaged:
                    raise
                for parent in damaged:
                    if isinstance(parent, CacheParent):
                        console.say(
                            f"{error} Its damaged rows are computed again."
                        )
                        parent.pass_over_damage()
                    else:
                        console.say(
                            f"The build {parent.path} has gone on or finished "
                            "meanwhile: its rows are looked for again."
                        )
                        self._parents = list(self._find_parents())

    def _compute_missing(self, console: Console) -> Plan:
        """Computes what nobody knows, and returns where all rows are then."""
        plan = self._plan()
        tasks = plan.list_tasks(self._keys)
        if not tasks:
            return plan
        begin_blocks(self._build_dir, self._blocks_dir, self._spec)
        total = sum(len(k.rows) for k in self._keys) * len(self._spec.views)
        to_do = sum(task.num_views for task in tasks)
        if to_do < total:
            names = ", ".join(p.path.name for p in plan.used_parents())
            console.say(f"{total - to_do:,} views are there, in {names}.")
        clock = StageClock()
        work = Work(
            request=self._request,
            spec=self._spec,
            source=self._source,
            pictures=self._pictures,
            backbones=self._backbones,
            blocks_dir=self._blocks_dir,
            tasks=tasks,
            earlier=find_last_engine(read_journal(self._build_dir)),
        )
        warning = warn_of_pixels(
            self._request.backbone, self._backbones.backbone
        )
        if warning:
            console.say(warning)
        with create_runner(work, clock, console) as runner:
            engine = runner.start()
            self._devices = runner.devices()
            journal = Journal(self._build_dir, engine, name_caches(plan))
            console.say(
                f"Embedding {to_do:,} views of "
                f"{sum(len(task.rows) for task in tasks):,} images with "
                f"{self._spec.backbone} on {engine or 'no engine'}"
                f"{runner.describe()}."
            )
            clock.start()
            with console.progress(
                "Embedding", total, "views", done=total - to_do
            ) as progress:
                results = runner.run(
                    on_views=progress.advance,
                    on_task=lambda task: journal.begin_block(
                        task.key.split, task.key.number, task.num_views
                    ),
                )
                try:
                    for task, result in results:
                        with clock.measure("write"):
                            self._keep(task, result, plan)
                finally:
                    self.num_computed += runner.num_computed
                    self.num_decoded += runner.num_decoded
                    self._add_seconds(
                        {**clock.seconds, "pass": clock.elapsed()}
                    )
        console.say(
            f"Embedded in {format_seconds(clock.elapsed())}. The time of all "
            f"threads: {clock.describe()}."
        )
        return self._plan(is_checked=True)

    def _add_seconds(self, seconds: dict[str, float]) -> None:
        """Adds those of a pass to those of the passes before."""
        self._last_seconds = seconds
        for stage, amount in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + amount

    def _assemble(self, plan: Plan, console: Console) -> FeatureCache:
        """Turns all that is known into one file and removes the blocks."""
        assembly = Assembly(
            plan=plan,
            spec=self._spec,
            source=self._source,
            pictures=self._pictures,
            bad=self._bad,
        )
        assembly.require_rows(self._request.on_error, console)
        attempts = read_journal(self._build_dir)
        engine = find_last_engine(attempts) or assembly.engine
        cache = assembly.write(
            self._path,
            Provenance(
                source=self._request.source,
                backbone=self._request.backbone,
                engine=engine or self._request.engine,
                max_pixels=max(self._request.max_pixels, assembly.max_pixels),
                created=now(),
                host=host_name(),
                devices=self._devices or prepare_devices().describe(),
                versions=installed_versions(),
                seconds=self._last_seconds,
                skipped=assembly.skipped,
                max_pixels_of_skipped=self._request.max_pixels,
                num_oriented=assembly.num_oriented,
                parents=tuple(
                    dict.fromkeys(
                        [
                            *(name for a in attempts for name in a.parents),
                            *assembly.parent_names,
                        ]
                    )
                ),
                attempts=attempts,
            ),
            self._feature_dim,
            self._request.max_file_bytes,
        )
        finish_blocks(self._build_dir, self._blocks_dir, console)
        assembly.remove_used_up(self._path.parent, console)
        return cache

    def _plan(self, *, is_checked: bool = False) -> Plan:
        own = BlocksParent(
            self._blocks_dir, self._spec.views, is_checked=is_checked
        )
        return make_plan(
            self._spec,
            self._pictures,
            [own, *self._parents],
            accepts_errors=self._request.on_error == "skip",
        )

    def _keep(self, task: Task, result: TaskResult, plan: Plan) -> None:
        """Adds the result of a task to its block, on disk.

        Raises:
            SourceError: If a picture changed since the plan was made.
        """
        split, rows = task.key.split, result.rows
        for image in result.bad:
            self._bad[split, image.row] = image
        if not len(rows):
            return
        image_ids = self._source.splits[split].image_ids
        self._pictures.learn(split, rows, result.content_digests)
        is_same = self._pictures.have(split, rows, result.content_digests)
        if not is_same.all():
            raise SourceError(
                f"The picture {image_ids[int(rows[~is_same][0])]} changed "
                "while the cache was built. What is finished is kept: run "
                f"`{BUILD_COMMAND}` again."
            )
        if result.features is None:  # In the block already.
            return
        features = result.features
        if task.views != self._spec.views:
            features = self._complete(task, result.rows, features, plan)
        stamps = self._pictures.stamps(split)[rows]
        block = result.to_block(image_ids, features, stamps)
        path = task.key.path_in(self._blocks_dir)
        add_to_block(block, path, read_block(path))

    def _complete(
        self, task: Task, rows: np.ndarray, computed: np.ndarray, plan: Plan
    ) -> np.ndarray:
        """Puts computed views beside those that a parent knows."""
        views = self._spec.views
        shape = len(rows), len(views), computed.shape[2]
        features = np.empty(shape, computed.dtype)
        columns = [views.index(view) for view in task.views]
        features[:, columns] = computed
        known = [view for view in views if view not in task.views]
        columns = [views.index(view) for view in known]
        features[:, columns] = plan.read(task.key.split, rows, known)
        return features
