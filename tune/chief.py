"""The chief of a search: has workers train what its oracle proposes.

KerasTuner's own service carries the trials. The oracle stays with
`tune.hypermodel`, which draws as many trials at once as a search with one
process does and is told of them in the same order: so the table is the same
whoever trains them.
"""

import contextlib
import types
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from typing import Self

import grpc
from keras_tuner.src import protos  # No public module has the service.
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from embed.console import Console
from embed.errors import PipelineError
from head.spec import HeadSpec
from tune.exchange import Exchange
from tune.role import Address
from tune.spec import SearchSpec
from tune.trials import TrialRecord
from tune.trials import TrialStore
from tune.wire import Offer
from tune.wire import pack_contract
from tune.workers import Job
from tune.workers import LocalWorkers

LOOPBACK = Address("127.0.0.1", 0)  # For workers on this machine.
NUM_SERVER_THREADS = 4  # No call waits for anything but the others.
WATCH_SECONDS = 0.5  # Between two looks at who is still there.
GOODBYE_SECONDS = 3.0  # A worker without a trial asks every few tenths.
STOP_SECONDS = 1.0  # For answers that are on their way.
# KerasTuner's server would share a port with another process.
SERVER_OPTIONS = (("grpc.so_reuseport", 0),)


class Chief:
    """Serves the trials of one search to workers; a context.

    In it workers are answered, and those of this machine run from the first
    trial on. At its end all are told that there are no more; when it is
    interrupted they are not, so that those of other machines wait for it to be
    started again.

    Args:
        spec: What is searched.
        results_dir: Where the results will be.
        num_workers: How many are started, or expected from elsewhere.
        place: Where workers of other machines ask; or what those on this
            machine shall do, which are started then.
        console: Is told who comes and goes.

    Raises:
        PipelineError: On entering, if others use the address.
    """

    def __init__(
        self,
        spec: SearchSpec,
        results_dir: str,
        *,
        num_workers: int,
        place: Address | Job,
        console: Console,
    ) -> None:
        self._exchange = Exchange(
            pack_contract(spec, results_dir), spec.digest(), num_workers
        )
        self._num_workers, self._num_at_once = num_workers, spec.parallel
        self._local = None
        self._address = LOOPBACK
        if isinstance(place, Address):
            self._address = place
        else:
            self._local = LocalWorkers(place, num_workers)
        self._console = console
        self._known: set[str] = set()

    def __enter__(self) -> Self:
        self._server, self._address = _start_server(
            self._exchange, self._address
        )
        if self._local is None:
            self._console.say(f"Search: workers may ask at {self._address}.")
        if self._num_workers > self._num_at_once:
            self._console.say(
                f"No more than {self._num_at_once} trials are drawn at once: "
                "other workers have nothing to do. Draw more with `--parallel "
                f"{self._num_workers}`, which is another search."
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            self.dismiss(is_patient=kind is None)
        elif self._local is not None:
            self._local.stop(0)
        self._server.stop(STOP_SECONDS).wait()

    def train(
        self, offers: Sequence[Offer], on_end: Callable[[TrialRecord], None]
    ) -> None:
        """Has heads trained.

        Args:
            offers: Which.
            on_end: Called with the record of each, as soon as it is there.

        Raises:
            PipelineError: If a worker met one, or none of this machine lives
                long enough to finish a trial.
        """
        self._exchange.offer(offers)
        if self._local is not None and offers:
            self._start_local(self._local)
        num_left = len(offers)
        while num_left:
            for record in self._exchange.collect(WATCH_SECONDS):
                num_left -= 1
                if self._local is not None:
                    self._local.note_success()
                on_end(record)
            self._look_after_workers()

    def dismiss(self, *, is_patient: bool = True) -> None:
        """Tells all workers that this is the end, and ends those of here.

        Args:
            is_patient: Whether those of here may end by themselves.
        """
        self._exchange.stop()
        if self._local is None:
            self._exchange.wait_for_goodbyes(GOODBYE_SECONDS)
        else:
            self._local.stop(GOODBYE_SECONDS if is_patient else 0)

    def _start_local(self, local: LocalWorkers) -> None:
        """Starts the workers of this machine, where they do not run yet."""
        if local.start(self._address):
            self._console.say(f"Search: {local.describe()}.")

    def _look_after_workers(self) -> None:
        """Has trials of workers that are gone run again, and says so."""
        if self._local is not None:
            for name, reason in self._local.restart_dead().items():
                number = self._exchange.release(name)
                self._console.say(
                    f"Worker {name} {reason} and was started again"
                    f"{_describe_trials(number)}."
                )
        for name, number in self._exchange.release_lost().items():
            self._console.say(
                f"Worker {name} is not heard of any more"
                f"{_describe_trials(number)}."
            )
        workers = self._exchange.workers
        if self._local is None:
            for name in sorted(workers - self._known):
                self._console.say(f"Worker {name} is there.")
        self._known = workers


class RemoteRunner:
    """Has heads trained by workers; else it is as `TrialRunner`.

    Args:
        chief: Of the workers.
        store: Records of the trials that are finished.
        on_trained: Called after each trial that is not looked up.
    """

    def __init__(
        self,
        chief: Chief,
        store: TrialStore,
        on_trained: Callable[[], None],
    ) -> None:
        self._chief, self._store = chief, store
        self._on_trained = on_trained

    def run(
        self,
        trials: Mapping[str, HeadSpec],
        parents: Mapping[str, tuple[str, int]] | None = None,
    ) -> list[TrialRecord]:
        """Returns the records of trials; has those trained that have none.

        Args:
            trials: Spec by id.
            parents: By id the trial whose training is gone on with, and the
                number of its epochs.

        Raises:
            PipelineError: If a worker met one, or workers end again and again.
        """
        missing = [
            Offer(trial_id, spec, (parents or {}).get(trial_id))
            for trial_id, spec in self._store.find_missing(trials).items()
        ]
        self._chief.train(missing, self._add)
        return [self._store.get(trial_id) for trial_id in trials]

    def _add(self, record: TrialRecord) -> None:
        self._store.add(record)
        self._on_trained()


def _start_server(exchange: Exchange, address: Address) -> tuple[Any, Address]:
    """Starts KerasTuner's server; returns it, and its address with the port.

    KerasTuner starts one in a function that looks every 20 s whether it may
    return.
    """
    server = grpc.server(
        ThreadPoolExecutor(NUM_SERVER_THREADS), options=SERVER_OPTIONS
    )
    protos.get_service_grpc().add_OracleServicer_to_server(
        OracleServicer(exchange), server
    )
    port = 0
    with contextlib.suppress(RuntimeError):  # Of some versions; others say 0.
        port = server.add_insecure_port(str(address))
    if not port:
        raise PipelineError(
            f"The chief cannot serve at {address}. Expected: an address of "
            "this machine, and a port that no other process uses. Received: "
            "one that is not, or is in use. Set KERASTUNER_ORACLE_IP and "
            "KERASTUNER_ORACLE_PORT to others, for all workers too."
        )
    server.start()
    return server, Address(address.host, port)


def _describe_trials(number: int) -> str:
    """Returns what becomes of the trials of a worker that is gone."""
    return f": its {number} trials are run again" if number else ""
