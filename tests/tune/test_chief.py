"""Tests for `tune.chief`, with workers in threads of this process."""

import multiprocessing
import socket
import threading
from concurrent.futures import Future
from typing import get_args

import pytest

from embed.console import Console
from embed.errors import PipelineError
from head.spec import HeadSpec
from tests.stopping_console import StoppingConsole
from tune import chief as chief_module
from tune import client as client_module
from tune import worker as worker_module
from tune.chief import Chief
from tune.chief import RemoteRunner
from tune.client import ChiefClient
from tune.client import SilentChiefError
from tune.exchange import Exchange
from tune.role import Address
from tune.role import Role
from tune.spec import OracleName
from tune.spec import SearchSpec
from tune.trials import TrialRecord
from tune.trials import TrialStore
from tune.wire import Offer
from tune.worker import ReportedError
from tune.worker import run_worker

OPTIONS = {
    "oracle": "random",
    "max_trials": 7,
    "max_epochs": 9,
    "parallel": 3,
    "seed": 0,
}
QUIET = Console(is_quiet=True)
SECONDS = 60  # Far more than anything takes, but an end.


@pytest.fixture(name="address")
def _address(monkeypatch):
    """An address of this machine, in KerasTuner's variables of a chief."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address("127.0.0.1", server.getsockname()[1])
    for name, value in Role("chief", address).variables.items():
        monkeypatch.setenv(name, value)
    return address


@pytest.fixture(name="start_worker")
def _start_worker(address, cache, tmp_path, monkeypatch):
    """Starts a worker in a thread; returns what will be its report."""
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.01)

    def start(name, memory_limit=None, cache=cache, **changes):
        return in_background(
            run_worker,
            cache,
            SearchSpec.of(cache, **{**OPTIONS, **changes}),
            role=Role(name, address),
            artifacts_dir=tmp_path / f"artifacts-of-{name}",
            memory_limit=memory_limit,
            console=QUIET,
        )

    return start


@pytest.fixture(name="connect")
def _connect(address, cache):
    """Connects to the chief under a name."""
    return lambda name, **options: ChiefClient(
        Role(name, address), SearchSpec.of(cache, **OPTIONS), **options
    )


@pytest.fixture(name="chief")
def _chief(address, cache, monkeypatch):
    """A chief for workers that are started elsewhere and never say goodbye."""
    monkeypatch.setattr(chief_module, "GOODBYE_SECONDS", 0)
    spec = SearchSpec.of(cache, **OPTIONS)
    with Chief(
        spec, "searches/x", num_workers=1, place=address, console=QUIET
    ) as chief:
        yield chief


def in_background(function, *arguments, **options):
    """Calls a function in a thread that nothing waits for."""
    outcome = Future()

    def run():
        try:
            outcome.set_result(function(*arguments, **options))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def take_some(client):
    """Asks until there is something to train."""
    while not (offers := client.take()):
        pass
    return offers


def without_seconds(result):
    """Returns the trial table less what two equal searches differ in."""
    return [trial.model_copy(update={"seconds": 0}) for trial in result.trials]


def record_of(offer):
    """Returns how a trial may have gone."""
    return TrialRecord(
        trial_id=offer.trial_id,
        spec=offer.spec,
        status="completed",
        val_accuracy=0.5,
        val_loss=1.0,
        seconds=0.0,
    )


@pytest.mark.usefixtures("train_at_once")
@pytest.mark.parametrize("oracle", get_args(OracleName))
def test_the_table_is_that_of_one_process(
    search, start_worker, address, oracle
):
    """Trials, their order and scores, whatever proposes them."""
    options = {**OPTIONS, "oracle": oracle}
    alone = search(**options)

    workers = [start_worker(name, oracle=oracle) for name in ("a", "b")]
    result = search(
        **options, address=address, num_workers=2, is_overwrite=True
    )

    reports = [worker.result(SECONDS) for worker in workers]
    assert without_seconds(result) == without_seconds(alone)
    assert result.path == alone.path
    assert sum(r.num_trials for r in reports) == len(result.trials) == 8
    assert {r.results_dir for r in reports} == {str(result.path)}
    assert not (result.path / "states").exists()


@pytest.mark.usefixtures("train_at_once")
def test_workers_have_the_sample_of_their_chief(
    search, start_worker, address, cache
):
    """Each draws it by itself, and comes to the scores of one process."""
    alone = search(**OPTIONS, rows=40)

    worker = start_worker("a", rows=40)
    result = search(**OPTIONS, rows=40, address=address, is_overwrite=True)

    assert worker.result(SECONDS).num_trials == len(result.trials)
    assert without_seconds(result) == without_seconds(alone)
    assert result.summary.num_images == 40 < cache.num_images["train"]


@pytest.mark.usefixtures("train_at_once")
def test_one_process_needs_no_server(search, monkeypatch):
    """Without workers nothing is served and nothing is started."""
    monkeypatch.setattr(chief_module, "grpc", None)
    monkeypatch.setattr(multiprocessing, "get_context", None)

    assert search(**OPTIONS, num_workers=1).summary.num_trials == 7


@pytest.mark.parametrize("oracle", ["bayesian", "hyperband"])
def test_a_search_goes_on_with_other_workers(
    search, train_at_once, start_worker, address, oracle
):
    """What one process has finished is not trained again by workers."""
    options = {**OPTIONS, "oracle": oracle}
    whole = search(**options)
    train_at_once.clear()
    with pytest.raises(KeyboardInterrupt):
        search(**options, is_overwrite=True, console=StoppingConsole(5))

    worker = start_worker("a", oracle=oracle)
    result = search(**options, is_overwrite=True, address=address)

    assert without_seconds(result) == without_seconds(whole)
    assert worker.result(SECONDS).num_trials == 8 - 5
    assert len(train_at_once) == 8


@pytest.mark.usefixtures("train_at_once")
def test_workers_wait_for_a_chief_that_is_started_again(
    search, start_worker, address
):
    """An interrupt of the chief ends no worker on another machine."""
    whole = search(**OPTIONS)
    worker = start_worker("a")

    with pytest.raises(KeyboardInterrupt):
        search(
            **OPTIONS,
            address=address,
            is_overwrite=True,
            console=StoppingConsole(4),
        )
    assert not worker.done()
    result = search(**OPTIONS, address=address, is_overwrite=True)

    assert without_seconds(result) == without_seconds(whole)
    assert worker.result(SECONDS).results_dir == str(result.path)


@pytest.mark.usefixtures("train_at_once")
def test_a_trial_that_diverges_has_failed(
    search, start_worker, address, diverging
):
    """Its message arrives, and the search goes on."""
    diverging.append(lambda spec: spec.normalization != "none")
    alone = search(**OPTIONS)

    worker = start_worker("a")
    result = search(**OPTIONS, address=address, is_overwrite=True)

    worker.result(SECONDS)
    assert without_seconds(result) == without_seconds(alone)
    assert result.trials[-1].message == "The training diverged."


def test_an_error_of_a_worker_is_the_error_of_the_search(
    search, start_worker, make_cache, address
):
    """Both say what to do; it is no failed trial."""
    cache = make_cache("larger.h5", num_train=300)
    worker = start_worker("a", cache=cache, memory_limit=100)

    with pytest.raises(PipelineError, match="`--memory-limit "):
        search(**OPTIONS, cache=cache, address=address)

    with pytest.raises(ReportedError, match="`--memory-limit "):
        worker.result(SECONDS)


@pytest.mark.usefixtures("train_at_once")
def test_a_worker_of_another_search_is_refused(search, start_worker, address):
    """It trains nothing, and the search does not notice."""
    refused = start_worker("other", seed=1)
    worker = start_worker("a")

    result = search(**OPTIONS, address=address)

    with pytest.raises(PipelineError, match=r"seed=1.*`--seed 0`"):
        refused.result(SECONDS)
    assert worker.result(SECONDS).num_trials == len(result.trials)


@pytest.mark.usefixtures("train_at_once")
def test_people_see_who_trains(search, start_worker, address, capsys):
    """Where workers may ask, who came, and who has nothing to do."""
    worker = start_worker("a")

    search(**OPTIONS, address=address, num_workers=4, console=Console())

    worker.result(SECONDS)
    lines = capsys.readouterr().err.splitlines()
    assert f"Search: workers may ask at {address}." in lines
    assert "Worker a is there." in lines
    assert any("`--parallel 4`" in line for line in lines)


def test_an_address_in_use_is_one_error(search, address):
    """Before anything is trained it says which variables to change."""
    with (
        socket.create_server((address.host, address.port)),
        pytest.raises(PipelineError, match="KERASTUNER_ORACLE_PORT to others"),
    ):
        search(**OPTIONS, address=address)


def test_a_chief_that_does_not_come_is_one_error(connect):
    """A worker waits for it, and not for ever."""
    with pytest.raises(SilentChiefError, match="start `python -m tune search`"):
        connect("a", patience_seconds=0.2).greet()


def test_a_chief_that_is_gone_is_one_error(connect, chief):
    """A worker that trained meanwhile says so and ends."""
    client = connect("a", patience_seconds=0.2)
    client.greet()
    chief.__exit__(KeyboardInterrupt, None, None)

    with pytest.raises(SilentChiefError, match="does not answer"):
        client.take()


def test_a_worker_that_is_interrupted_gives_its_trials_back(chief, connect):
    """Another one has them at once."""
    offers = [Offer("0", HeadSpec()), Offer("1", HeadSpec(epochs=3))]
    records = []
    first, second = connect("a"), connect("b")

    training = in_background(chief.train, offers, records.append)
    assert len(take_some(first)) == 2
    first.give_back()
    assert sorted(offer.trial_id for offer in second.take()) == ["0", "1"]
    for offer in offers:
        second.report(record_of(offer))
    training.result(SECONDS)

    assert records == [record_of(offer) for offer in offers]


def test_a_worker_that_trains_shows_life(chief, connect, monkeypatch):
    """It asks for what it holds and has not reported."""
    monkeypatch.setattr(client_module, "SIGN_SECONDS", 0.01)
    asked, is_asked = [], threading.Event()
    get_trial = Exchange.get_trial

    def watch(exchange, trial_id):
        asked.append(trial_id)
        is_asked.set()
        return get_trial(exchange, trial_id)

    monkeypatch.setattr(Exchange, "get_trial", watch)
    offers = [Offer("0", HeadSpec()), Offer("1", HeadSpec(epochs=3))]
    client = connect("a")

    training = in_background(chief.train, offers, lambda record: None)
    take_some(client)
    client.report(record_of(offers[0]))
    with client.showing_life():
        assert is_asked.wait(SECONDS)
    client.report(record_of(offers[1]))
    training.result(SECONDS)

    assert set(asked) == {"1"}


def test_a_worker_of_an_earlier_search_gives_up(chief, connect, cache, address):
    """A chief was started for another search at the same address."""
    changed = SearchSpec.of(cache, **{**OPTIONS, "seed": 9})
    late = ChiefClient(Role("late", address), changed)
    client, offers = connect("a"), [Offer("0", HeadSpec())]

    training = in_background(chief.train, offers, lambda record: None)
    with pytest.raises(PipelineError, match="another search by now"):
        take_some(late)
    take_some(client)
    client.report(record_of(offers[0]))
    training.result(SECONDS)


def test_nothing_missing_asks_nobody(chief, tmp_path):
    """Records that are there are looked up, with no worker in sight."""
    store = TrialStore(tmp_path / "trials", tmp_path / "states")
    record = record_of(Offer("0", HeadSpec()))
    store.add(record)

    runner = RemoteRunner(chief, store, on_trained=lambda: None)

    assert runner.run({"0": record.spec}) == [record]
