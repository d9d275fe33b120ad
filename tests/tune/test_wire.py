"""Tests for `tune.wire`."""

import pytest
from keras_tuner.engine.trial import Trial
from keras_tuner.engine.trial import TrialStatus

from embed.errors import PipelineError
from head.spec import HeadSpec
from tune import wire
from tune.spec import SearchSpec
from tune.wire import Offer
from tune.wire import check_contract
from tune.wire import fixed
from tune.wire import is_of_search
from tune.wire import message_of
from tune.wire import pack_contract
from tune.wire import pack_end
from tune.wire import pack_offer
from tune.wire import unpack_offer

SPEC = SearchSpec(
    fingerprint="f" * 16,
    pictures_digest="d" * 64,
    oracle="random",
    max_trials=5,
    max_epochs=4,
    parallel=3,
    seed=0,
)


def sent(trial):
    """Returns a trial as it arrives at the other end."""
    return Trial.from_proto(trial.to_proto())


@pytest.mark.parametrize("parent", [None, ("003", 7)])
def test_an_offer_arrives_as_it_was_sent(parent):
    """Spec, id and what the training goes on with, to the last digit."""
    spec = HeadSpec(learning_rate=0.1 + 0.2, mixup=1 / 3, epochs=9)
    offer = Offer("007", spec, parent)

    trial = sent(pack_offer(offer, "search"))

    assert unpack_offer(trial) == offer
    assert trial.status == TrialStatus.RUNNING
    assert is_of_search(trial, "search")
    assert not is_of_search(trial, "another")


def test_an_end_has_its_reason():
    """KerasTuner's own message of a trial gets lost on the way."""
    offer = Offer("007", HeadSpec())

    failed = sent(pack_end(offer, "search", TrialStatus.FAILED, "Diverged."))
    done = sent(pack_end(offer, "search", TrialStatus.COMPLETED, ""))

    assert (failed.status, message_of(failed)) == ("FAILED", "Diverged.")
    assert (done.status, message_of(done)) == ("COMPLETED", "")
    assert unpack_offer(failed) == offer


def test_the_same_search_is_accepted():
    """A worker learns where the results will be."""
    contract = pack_contract(SPEC, "searches/x")

    assert check_contract(contract, SPEC, "10.0.0.5:8000") == "searches/x"


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"seed": 1}, "`--seed 0`"),
        ({"oracle": "grid", "folds": 2}, "`--folds 1 --oracle random`"),
        ({"fingerprint": "e" * 16}, "`?--cache PATH"),
        ({"pictures_digest": "e" * 64}, "`?--cache PATH"),
        ({"keras_tuner": "1.4.7"}, "version of each package"),
        ({"space_version": 1}, "version of each package"),
    ],
)
def test_another_search_is_refused(changes, advice):
    """By each field, with both values, and what to start the worker with."""
    contract = pack_contract(SPEC, "searches/x")
    started_for = SPEC.model_copy(update=changes)

    with pytest.raises(PipelineError, match=advice) as raised:
        check_contract(contract, started_for, "10.0.0.5:8000")

    expected, received = str(raised.value).split("Received: ")
    for name, value in changes.items():
        assert f"{name}={getattr(SPEC, name)}" in expected
        assert f"{name}={value}" in received


def test_another_version_is_refused(monkeypatch):
    """Two versions of TensorFlow may train to other bits."""
    contract = pack_contract(SPEC, "searches/x")
    monkeypatch.setattr(
        wire,
        "installed_versions",
        lambda: {"tensorflow": "2.0", "keras-tuner": SPEC.keras_tuner},
    )

    with pytest.raises(PipelineError, match=r"Received: .*tensorflow=2\.0"):
        check_contract(contract, SPEC, "10.0.0.5:8000")


def test_a_chief_of_something_else_is_refused():
    """Another program may have a search of KerasTuner at that address."""
    with pytest.raises(PipelineError, match="Start one there"):
        check_contract(fixed(units=32), SPEC, "10.0.0.5:8000")


@pytest.mark.parametrize(
    ("of_chief", "of_worker", "advice"),
    [
        (900, None, "`--rows 900`"),
        (900, 800, "`--rows 900`"),
        (None, 9, "no `--rows`"),
    ],
)
def test_a_worker_with_another_sample_is_refused(of_chief, of_worker, advice):
    """Also where one of the two has none."""
    chief, worker = (
        SPEC.model_copy(update={"rows": rows}) for rows in (of_chief, of_worker)
    )

    with pytest.raises(PipelineError, match=f"{advice}.$") as raised:
        check_contract(pack_contract(chief, "x"), worker, "10.0.0.5:8000")

    assert f"Expected: rows={of_chief}. " in str(raised.value)
    assert f"Received: rows={of_worker}. " in str(raised.value)
