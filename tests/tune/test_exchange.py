"""Tests for `tune.exchange`."""

import threading

import pytest
from keras_tuner.engine.trial import Trial
from keras_tuner.engine.trial import TrialStatus

from embed.errors import PipelineError
from head.spec import HeadSpec
from tune.exchange import LOST_SECONDS
from tune.exchange import Exchange
from tune.wire import Offer
from tune.wire import fixed
from tune.wire import pack_end

SEARCH = "digest"
METRICS = {"val_accuracy": 0.1 + 0.2, "val_loss": 1 / 3, "seconds": 1.5}


class Clock:
    """A clock that is put forward by hand."""

    now = 0.0

    def __call__(self):
        """Returns the time."""
        return self.now


@pytest.fixture(name="clock")
def _clock():
    return Clock()


@pytest.fixture(name="create")
def _create(clock):
    """Creates an exchange with some trials, for a number of workers."""

    def create(num_trials=4, num_workers=2):
        exchange = Exchange(fixed(contract="x"), SEARCH, num_workers, clock)
        exchange.offer(offers(num_trials))
        return exchange

    return create


def offers(num_trials):
    """Returns trials `0`, `1` and so on, each with another spec."""
    return [
        Offer(str(number), HeadSpec(epochs=1 + number))
        for number in range(num_trials)
    ]


def take(exchange, worker, most=16):
    """Asks as a worker does; returns ids of trials and the last status."""
    trial_ids = []
    for number in range(most):
        trial = exchange.create_trial(f"{worker}-{number}")
        if trial.status != TrialStatus.RUNNING:
            return trial_ids, trial.status
        trial_ids.append(trial.trial_id)
    return trial_ids, TrialStatus.RUNNING


def end(exchange, trial_id, status="COMPLETED", message="", search=SEARCH):
    """Reports a trial as a worker does, over the wire."""
    exchange.update_trial(trial_id, METRICS)
    offer = offers(int(trial_id) + 1)[-1]
    trial = pack_end(offer, search, status, message)
    exchange.end_trial(Trial.from_proto(trial.to_proto()))


def test_workers_share_what_is_there(create):
    """Each gets half of the trials, and nobody a trial of another."""
    exchange = create()

    assert take(exchange, "a") == (["0", "1"], "IDLE")
    assert take(exchange, "b") == (["2", "3"], "IDLE")
    assert take(exchange, "c") == ([], "IDLE")


def test_a_worker_that_was_not_expected_has_a_share(create):
    """Of the next trials each of three gets a third."""
    exchange = create(num_trials=1)
    for worker in ("a", "b", "c"):
        take(exchange, worker)
    end(exchange, "0")

    exchange.offer(offers(6))

    assert [len(take(exchange, worker)[0]) for worker in "abc"] == [2, 2, 2]


def test_who_asks_again_gets_the_same_again(create):
    """A worker that was started again under its name goes on, in order."""
    exchange = create()

    assert take(exchange, "a") == take(exchange, "a") == (["0", "1"], "IDLE")
    assert exchange.create_trial("a-1").trial_id == "1"


def test_what_an_earlier_process_held_is_not_forgotten(create):
    """It held its second trial alone; the next one asks as its first."""
    exchange = create()
    take(exchange, "a")
    end(exchange, "0")

    assert take(exchange, "a") == (["1", "2"], "IDLE")


def test_a_record_is_exactly_what_was_told(create):
    """To the last digit; the spec is the chief's."""
    exchange = create()
    take(exchange, "a")

    end(exchange, "1")
    end(exchange, "0", "FAILED", "It diverged.")

    done, failed = exchange.collect(0)
    assert (done.trial_id, done.status, done.message) == ("1", "completed", "")
    assert done.val_accuracy == METRICS["val_accuracy"]
    assert done.val_loss == METRICS["val_loss"]
    assert done.seconds == METRICS["seconds"]
    assert done.spec == HeadSpec(epochs=2)
    assert (failed.status, failed.message) == ("failed", "It diverged.")
    assert failed.val_accuracy is failed.val_loss is None
    assert exchange.collect(0) == []


def test_a_second_result_is_not_looked_at(create):
    """Nor is one of another search, or of a trial that nobody offered."""
    exchange = create()
    take(exchange, "a")

    end(exchange, "0", search="another")
    assert exchange.collect(0) == []
    end(exchange, "0")
    end(exchange, "0")
    end(exchange, "9")

    assert [record.trial_id for record in exchange.collect(0)] == ["0"]


def test_the_trials_of_the_dead_are_the_next_ones(create):
    """Another worker gets them at once, in their order."""
    exchange = create(num_trials=6)
    take(exchange, "a")
    take(exchange, "b")
    end(exchange, "1")

    assert exchange.release("a") == 2
    assert exchange.workers == {"b"}
    assert take(exchange, "c") == (["0", "2"], "IDLE")
    assert exchange.release("a") == 0


def test_a_silent_worker_is_lost(create, clock):
    """Signs of life of its trials, or questions, keep a worker."""
    exchange = create(num_trials=3, num_workers=3)
    take(exchange, "a")
    take(exchange, "b")
    take(exchange, "c")
    clock.now = LOST_SECONDS
    exchange.get_trial("0")
    take(exchange, "b")
    assert exchange.release_lost() == {}

    clock.now += 1

    assert exchange.release_lost() == {"c": 1}
    assert exchange.workers == {"a", "b"}
    assert take(exchange, "d") == (["2"], "IDLE")


def test_the_first_result_of_two_counts(create):
    """A worker that was taken for lost may be the first all the same."""
    exchange = create(num_trials=2, num_workers=1)
    take(exchange, "a")
    exchange.release("a")
    end(exchange, "0")

    assert take(exchange, "b") == (["1"], "IDLE")
    end(exchange, "0")
    end(exchange, "1")
    assert [record.trial_id for record in exchange.collect(0)] == ["0", "1"]


def test_what_is_given_back_is_the_next_one(create):
    """A worker that is interrupted lets its trials go."""
    exchange = create()
    take(exchange, "a")

    end(exchange, "1", "IDLE")

    assert take(exchange, "b") == (["1", "2"], "IDLE")
    assert exchange.collect(0) == []


def test_an_end_without_a_score_is_no_result(create):
    """The score was told to a chief before; the trial is run again."""
    exchange = create()
    take(exchange, "a")
    trial = pack_end(offers(1)[0], SEARCH, "COMPLETED", "")

    exchange.end_trial(trial)

    assert exchange.collect(0) == []
    assert take(exchange, "b") == (["0", "2"], "IDLE")


def test_an_error_of_a_worker_ends_the_search(create):
    """What was finished before is kept; all are told of the end."""
    exchange = create()
    take(exchange, "a")
    end(exchange, "0")
    end(exchange, "1", "INVALID", "The memory limit is too small.")

    assert [record.trial_id for record in exchange.collect(0)] == ["0"]
    with pytest.raises(PipelineError, match="limit is too small"):
        exchange.collect(0)
    assert take(exchange, "b") == ([], "STOPPED")


def test_the_chief_waits_until_all_know_of_the_end(create):
    """Those that were lost are not waited for."""
    exchange = create()
    take(exchange, "a")
    take(exchange, "b")
    take(exchange, "c")
    exchange.release("c")
    exchange.stop()
    waiting = threading.Thread(
        target=exchange.wait_for_goodbyes, args=(60,), daemon=True
    )
    waiting.start()

    assert take(exchange, "a") == ([], "STOPPED")
    assert waiting.is_alive()
    assert take(exchange, "b") == ([], "STOPPED")
    waiting.join(60)
    assert not waiting.is_alive()


def test_records_are_waited_for(create):
    """The chief wakes up when one comes."""
    exchange = create()
    take(exchange, "a")
    threading.Timer(0.1, end, (exchange, "0")).start()

    assert [record.trial_id for record in exchange.collect(60)] == ["0"]


def test_what_is_asked_for_and_not_there_is_no_crash(create):
    """A worker of an earlier chief is told that its trial is none."""
    exchange = create()

    assert exchange.get_trial("77").status == TrialStatus.STOPPED
    assert exchange.update_trial("77", METRICS).status == TrialStatus.STOPPED
    assert exchange.get_space().values == {"contract": "x"}
    assert exchange.get_best_trials(3) == []
