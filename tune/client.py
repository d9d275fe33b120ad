"""A worker's line to its chief: KerasTuner's client, with patience."""

import contextlib
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import grpc
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.src.distribute import oracle_client

from embed.errors import PipelineError
from tune.role import Role
from tune.spec import SearchSpec
from tune.trials import TrialRecord
from tune.wire import Offer
from tune.wire import check_contract
from tune.wire import is_of_search
from tune.wire import pack_end
from tune.wire import unpack_offer

RETRY_SECONDS = 0.3  # Between two calls to a chief that is not there.
SIGN_SECONDS = 5.0  # Between two signs of life, of which some may get lost.
# For a chief that is started after its workers, or again after it was ended.
PATIENCE_SECONDS = 600.0
GIVE_BACK_SECONDS = 2.0  # A chief that is there answers in hundredths.


class SilentChiefError(PipelineError):
    """A chief does not answer any more, or never did."""


class ChiefClient:
    """Takes trials from a chief and tells it how they went.

    Where the chief is it knows from KerasTuner's variables.

    Args:
        role: Name of the worker, and where the chief is, for messages.
        spec: What the worker was started for.
        patience_seconds: How long it waits for a chief that does not answer.
    """

    def __init__(
        self,
        role: Role,
        spec: SearchSpec,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        oracle_client.TIMEOUT = patience_seconds  # It would wait for an hour.
        self._client = oracle_client.OracleClient(None)
        self._role, self._spec, self._search = role, spec, spec.digest()
        self._patience = patience_seconds
        self._held: dict[str, Offer] = {}

    def greet(self) -> str:
        """Waits for the chief, and makes sure that it does the same search.

        Returns:
            Where the results will be, on the chief's machine.

        Raises:
            SilentChiefError: If it does not come.
            PipelineError: If it does another search.
        """
        contract = self._ask(self._client.get_space)
        return check_contract(contract, self._spec, self._role.address)

    def take(self) -> list[Offer] | None:
        """Asks for trials until there is none more for this worker.

        Returns:
            What is there, perhaps nothing for now; `None` at the end.

        Raises:
            SilentChiefError: If the chief does not answer.
            PipelineError: If it does another search by now.
        """
        for number in range(self._spec.parallel):
            trial = self._ask(
                self._client.create_trial, f"{self._role.name}-{number}"
            )
            if trial.status == TrialStatus.STOPPED:
                return None
            if trial.status == TrialStatus.IDLE:
                break
            if not is_of_search(trial, self._search):
                trial.status = TrialStatus.IDLE
                self._ask(self._client.end_trial, trial)
                raise PipelineError(
                    f"The chief at {self._role.address} does another search by "
                    f"now. Expected: trials of {self._search}. Received: one "
                    "of another. Start the worker again, for that search."
                )
            self._held[trial.trial_id] = unpack_offer(trial)
        return [*self._held.values()]

    def report(self, record: TrialRecord) -> None:
        """Tells how a trial went that is held; of any other says nothing.

        Raises:
            SilentChiefError: If the chief does not answer.
        """
        offer = self._held.get(record.trial_id)
        if offer is None:
            return
        metrics = {"seconds": record.seconds}
        status = TrialStatus.FAILED
        if record.val_accuracy is not None and record.val_loss is not None:
            status = TrialStatus.COMPLETED
            metrics["val_accuracy"] = record.val_accuracy
            metrics["val_loss"] = record.val_loss
        self._ask(self._client.update_trial, offer.trial_id, metrics)
        self._end(offer, status, record.message)
        del self._held[record.trial_id]

    def fail(self, message: str) -> None:
        """Tells of an error that ends the search.

        Raises:
            SilentChiefError: If the chief does not answer.
        """
        for offer in [*self._held.values()][:1]:
            self._end(offer, TrialStatus.INVALID, message)

    def give_back(self) -> None:
        """Lets others have what it holds, if the chief is there."""

        def give_back() -> None:
            with contextlib.suppress(PipelineError):
                for offer in [*self._held.values()]:
                    self._end(offer, TrialStatus.IDLE)

        thread = threading.Thread(target=give_back, daemon=True)
        thread.start()
        thread.join(GIVE_BACK_SECONDS)

    @contextlib.contextmanager
    def showing_life(self) -> Iterator[None]:
        """Asks every few seconds for what it holds, while the body trains."""
        ended = threading.Event()

        def show() -> None:
            while not ended.wait(SIGN_SECONDS):
                for trial_id in [*self._held]:
                    with contextlib.suppress(grpc.RpcError):
                        self._client.get_trial(trial_id)

        threading.Thread(target=show, daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def _end(self, offer: Offer, status: str, message: str = "") -> None:
        trial = pack_end(offer, self._search, status, message)
        self._ask(self._client.end_trial, trial)

    def _ask(self, call: Callable[..., Any], *arguments: object) -> Any:
        """Calls the chief, and again while it is being started again."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return call(*arguments)
            except grpc.RpcError as error:
                is_gone = error.code() is grpc.StatusCode.UNAVAILABLE
                if is_gone and time.monotonic() < deadline:
                    time.sleep(RETRY_SECONDS)
                    continue
                raise SilentChiefError(
                    f"The chief at {self._role.address} does not answer. "
                    "Expected: that it hands out trials or says that there "
                    f"are no more. Received: {error.code().name}, "
                    f"{error.details()}. If the search is not done, start "
                    "`python -m tune search` there again, then this worker."
                ) from error
