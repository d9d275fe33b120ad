"""A worker: trains the trials that a chief hands out, until there are no more.

It takes several at once and trains them side by side. It has its own records
of what it trained; those of the search are the chief's.
"""

import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path

from embed.artifacts import SEARCHES
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.console import Console
from embed.devices import prepare_devices
from embed.errors import PipelineError
from embed.memory import default_limit
from tune.client import ChiefClient
from tune.client import SilentChiefError
from tune.folder import SearchFolder
from tune.folder import name_search
from tune.hypermodel import TrialRunner
from tune.results import STATES
from tune.results import TRIALS
from tune.role import Role
from tune.search_rows import SearchRows
from tune.spec import SearchSpec
from tune.trainers import Trainer
from tune.trainers import create_trainer
from tune.trials import TrialStore
from tune.wire import Offer
from tune.workers import Job

IDLE_SECONDS = 0.2  # Between two questions for a trial.


class ReportedError(PipelineError):
    """An error that the chief was told, and says itself."""


@dataclasses.dataclass(frozen=True)
class WorkerReport:
    """What a worker did.

    Args:
        num_trials: Trials that it trained.
        seconds: From its start to its end.
        results_dir: Where the results are, on the chief's machine.
    """

    num_trials: int
    seconds: float
    results_dir: str


class Worker:
    """Trains what a chief hands out.

    Args:
        client: Line to the chief.
        create_trainer: Reads the features; called when there is something to
            train.
        store: Receives the records.
        continues: Whether Hyperband may go on with what is trained.
    """

    def __init__(
        self,
        client: ChiefClient,
        create_trainer: Callable[[], Trainer],
        store: TrialStore,
        *,
        continues: bool,
    ) -> None:
        self._client, self._store = client, store
        self._create_trainer, self._continues = create_trainer, continues
        self._runner: TrialRunner | None = None
        self.num_trials = 0

    def work(self) -> None:
        """Trains until there is nothing more.

        Raises:
            ReportedError: If reading or training met a `PipelineError`.
            PipelineError: If the chief does not answer any more.
        """
        while (offers := self._client.take()) is not None:
            if offers:
                with self._client.showing_life():
                    self._train(offers)
            else:
                time.sleep(IDLE_SECONDS)

    def _train(self, offers: Sequence[Offer]) -> None:
        """Trains some and reports each as it ends."""
        try:
            records = self._get_runner().run(
                {offer.trial_id: offer.spec for offer in offers},
                {o.trial_id: o.parent for o in offers if o.parent is not None}
                if self._continues
                else None,
            )
            for record in records:  # Those that it had trained before.
                self._client.report(record)
        except SilentChiefError:
            raise
        except PipelineError as error:
            self._client.fail(str(error))
            raise ReportedError(str(error)) from error
        except BaseException:
            self._client.give_back()
            raise

    def _get_runner(self) -> TrialRunner:
        """Returns what trains; the features are read the first time."""
        if self._runner is None:
            self._runner = TrialRunner(
                self._create_trainer(),
                self._store,
                on_trained=self._report_newest,
            )
        return self._runner

    def _report_newest(self) -> None:
        self._client.report(self._store.records[-1])
        self.num_trials += 1


def run_worker(
    cache: FeatureCache,
    spec: SearchSpec,
    *,
    role: Role,
    artifacts_dir: Path,
    memory_limit: int | None,
    console: Console,
) -> WorkerReport:
    """Trains trials of a search whose chief is another command.

    Args:
        cache: What the heads are trained on.
        spec: What is searched; the chief's must be the same.
        role: Name of this worker, and where the chief is.
        artifacts_dir: Where the search goes on, if that folder is shared.
        memory_limit: Bytes that features may take; default: half of the
            memory that is free.
        console: Where remarks go.

    Raises:
        PipelineError: If the chief does another search or does not answer.
    """
    began = time.monotonic()
    console.say(f"Worker {role.name}: asking the chief at {role.address}.")
    client = ChiefClient(role, spec)
    results_dir = client.greet()
    limit = default_limit() if memory_limit is None else memory_limit
    rows = SearchRows(cache, spec, memory_limit=limit, console=console)
    console.say(f"Worker {role.name}: {prepare_devices().describe()}.")
    name = name_search(cache, spec)
    shared_dir = SearchFolder(artifacts_dir / SEARCHES, name).build_dir
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        states_dir = shared_dir if shared_dir.is_dir() else Path(folder)
        worker = Worker(
            client,
            functools.partial(create_trainer, rows, spec.seed),
            TrialStore(Path(folder) / TRIALS, states_dir / STATES),
            continues=spec.continues,
        )
        worker.work()
    return WorkerReport(
        worker.num_trials, time.monotonic() - began, results_dir
    )


def work_here(job: Job, role: Role, folder: Path, console: Console) -> None:
    """Trains trials of the process that started this one.

    Args:
        job: What to do.
        role: Name of this worker, and where the chief is.
        folder: For its records.
        console: Where remarks go.

    Raises:
        PipelineError: If the chief does not answer.
    """
    client = ChiefClient(role, job.spec)
    client.greet()
    cache = open_cache(job.cache_path)
    rows = SearchRows(
        cache, job.spec, memory_limit=job.memory_limit, console=console
    )
    Worker(
        client,
        functools.partial(create_trainer, rows, job.spec.seed),
        TrialStore(folder / TRIALS, job.search_dir / STATES),
        continues=job.spec.continues,
    ).work()
