"""Trials on their way to workers, and what came of them.

KerasTuner's server calls this as it calls an oracle, from several threads; the
chief puts trials in and takes records out. It decides on nothing but who
trains what: the trials are those of the chief's oracle.
"""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping

from keras_tuner import HyperParameters
from keras_tuner.engine.trial import Trial
from keras_tuner.engine.trial import TrialStatus

from embed.errors import PipelineError
from tune.trials import TrialRecord
from tune.wire import Offer
from tune.wire import bare_trial
from tune.wire import is_of_search
from tune.wire import message_of
from tune.wire import pack_offer

# Of silence, until a worker is taken for lost: it calls every 5 s while it
# trains, and networks and machines under load have their pauses.
LOST_SECONDS = 60.0


@dataclasses.dataclass
class _State:
    """How far a trial is.

    Args:
        offer: What it is.
        metrics: What its worker told of it.
        is_done: Whether there is a record of it.
    """

    offer: Offer
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    is_done: bool = False


class Exchange:
    """Hands out trials, and takes one record of each.

    A worker of the name `a` asks as `a-0`, `a-1` and so on, until it has its
    share, and again when it has trained that. Who asks as somebody that has a
    trial gets the same one again.

    Args:
        contract: What workers are told of the search.
        search: Digest of its spec.
        num_workers: How many are expected; if more come, they share as well.
        clock: Seconds that go on.
    """

    def __init__(
        self,
        contract: HyperParameters,
        search: str,
        num_workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._contract, self._search = contract, search
        self._num_workers, self._clock = num_workers, clock
        self._changed = threading.Condition()
        self._states: dict[str, _State] = {}
        self._num_offered = 0  # Of the last offers.
        self._waiting: collections.deque[str] = collections.deque()
        self._held: dict[str, str] = {}  # Trial by who asked for it.
        self._heard: dict[str, float] = {}  # When, by the name of a worker.
        self._told: set[str] = set()  # Who knows that this is the end.
        self._records: list[TrialRecord] = []
        self._failure = ""
        self._is_stopped = False

    # === What the chief calls ===

    @property
    def workers(self) -> set[str]:
        """Names of the workers that are there."""
        with self._changed:
            return set(self._heard)

    def offer(self, offers: Iterable[Offer]) -> None:
        """Puts trials in, all at once."""
        with self._changed:
            offered = {offer.trial_id: _State(offer) for offer in offers}
            self._states |= offered
            self._waiting.extend(offered)
            self._num_offered = len(offered)

    def collect(self, seconds: float) -> list[TrialRecord]:
        """Takes the records out that have come.

        Args:
            seconds: How long to wait for the first.

        Raises:
            PipelineError: If a worker met one.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._records or self._failure, seconds
            )
            if self._failure and not self._records:
                raise PipelineError(self._failure)
            records, self._records = self._records, []
            return records

    def release(self, worker: str) -> int:
        """Puts back what a worker holds that is gone; returns how much."""
        with self._changed:
            self._heard.pop(worker, None)
            return self._put_back_all(worker)

    def release_lost(self) -> dict[str, int]:
        """Puts back what workers hold that are silent; returns it by name."""
        with self._changed:
            latest = self._clock() - LOST_SECONDS
            lost = [n for n, heard in self._heard.items() if heard < latest]
        return {worker: self.release(worker) for worker in lost}

    def stop(self) -> None:
        """Tells every worker that asks that this is the end."""
        with self._changed:
            self._is_stopped = True

    def wait_for_goodbyes(self, seconds: float) -> None:
        """Waits until all workers that are there know that this is the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._heard.keys() <= self._told, seconds
            )

    # === What KerasTuner's server calls, as of an oracle ===

    def get_space(self) -> HyperParameters:
        """Returns what this search is."""
        return self._contract

    def update_space(self, hyperparameters: HyperParameters) -> None:
        """Does nothing: no worker adds to a space that it does not know."""

    def create_trial(self, tuner_id: str) -> Trial:
        """Returns a trial to train, or that there is none, for now or ever."""
        with self._changed:
            worker = _name(tuner_id)
            self._heard[worker] = self._clock()
            if self._is_stopped or self._failure:
                self._told.add(worker)
                self._changed.notify_all()
                return bare_trial(TrialStatus.STOPPED)
            if tuner_id == f"{worker}-0":
                # It trains nothing: of the rest an earlier process knew.
                self._put_back_all(worker, but=tuner_id)
            if tuner_id not in self._held:
                if not self._waiting or not self._has_room(worker):
                    return bare_trial(TrialStatus.IDLE)
                self._held[tuner_id] = self._waiting.popleft()
            return self._pack(self._held[tuner_id])

    def get_trial(self, trial_id: str) -> Trial:
        """Takes a sign of life of whoever holds a trial."""
        with self._changed:
            for worker in self._holders(trial_id):
                self._heard[worker] = self._clock()
            if trial_id not in self._states:
                return bare_trial(TrialStatus.STOPPED)
            return self._pack(trial_id)

    def update_trial(
        self, trial_id: str, metrics: Mapping[str, float], step: int = 0
    ) -> Trial:
        """Takes what a worker tells of a trial, to be kept when it ends."""
        with self._changed:
            if trial_id not in self._states:
                return bare_trial(TrialStatus.STOPPED)
            self._states[trial_id].metrics = dict(metrics)
            return self._pack(trial_id)

    def end_trial(self, trial: Trial) -> None:
        """Takes how a trial ended; the second time is not looked at.

        It is the same then, since trainings are deterministic.
        """
        with self._changed:
            state = self._states.get(trial.trial_id)
            is_ours = is_of_search(trial, self._search)
            if state is None or state.is_done or not is_ours:
                return
            is_completed = trial.status == TrialStatus.COMPLETED
            if trial.status == TrialStatus.IDLE:
                for worker in self._holders(trial.trial_id):
                    self._heard.pop(worker, None)  # It leaves.
                self._put_back(trial.trial_id)
            elif is_completed and not state.metrics:
                self._put_back(trial.trial_id)  # They were told a chief before.
            elif trial.status == TrialStatus.INVALID:
                self._failure = message_of(trial)
            else:
                self._records.append(_create_record(state, trial))
                state.is_done = True
                self._let_go(trial.trial_id)
            self._changed.notify_all()

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """Returns none: scores are the chief's alone."""
        return []

    # === Helpers, for those who have the lock ===

    def _holders(self, trial_id: str) -> list[str]:
        """Returns the names of the workers that hold a trial."""
        return [_name(n) for n, t in self._held.items() if t == trial_id]

    def _has_room(self, worker: str) -> bool:
        """Tells whether a worker holds less than its share."""
        num_held = sum(_name(tuner_id) == worker for tuner_id in self._held)
        num_workers = max(self._num_workers, len(self._heard))
        return num_held < -(-self._num_offered // num_workers)

    def _put_back_all(self, worker: str, but: str = "") -> int:
        """Puts back what a worker holds, as whoever; returns how much."""
        held = [
            trial_id
            for tuner_id, trial_id in self._held.items()
            if _name(tuner_id) == worker and tuner_id != but
        ]
        return sum(map(self._put_back, reversed(held)))

    def _put_back(self, trial_id: str) -> bool:
        """Makes a trial the next one; tells whether it was on its way."""
        self._let_go(trial_id)
        if self._states[trial_id].is_done or trial_id in self._waiting:
            return False
        self._waiting.appendleft(trial_id)
        return True

    def _let_go(self, trial_id: str) -> None:
        """Has nobody hold a trial, nor anybody get it."""
        self._held = {n: t for n, t in self._held.items() if t != trial_id}
        if self._states[trial_id].is_done and trial_id in self._waiting:
            self._waiting.remove(trial_id)

    def _pack(self, trial_id: str) -> Trial:
        return pack_offer(self._states[trial_id].offer, self._search)


def _name(tuner_id: str) -> str:
    """Returns the name of the worker that asks as `NAME-NUMBER`."""
    return tuner_id.rpartition("-")[0] or tuner_id


def _create_record(state: _State, trial: Trial) -> TrialRecord:
    """Returns what is kept of a trial that ended."""
    is_completed = trial.status == TrialStatus.COMPLETED
    return TrialRecord(
        trial_id=trial.trial_id,
        spec=state.offer.spec,
        status="completed" if is_completed else "failed",
        val_accuracy=state.metrics["val_accuracy"] if is_completed else None,
        val_loss=state.metrics["val_loss"] if is_completed else None,
        seconds=state.metrics.get("seconds", 0.0),
        message=message_of(trial),
    )
