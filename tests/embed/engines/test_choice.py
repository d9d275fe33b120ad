"""Tests for `embed.engines.choice`."""

import dataclasses
import threading

import numpy as np
import pytest

from embed.console import Console
from embed.engines.choice import GLANCE_SECONDS
from embed.engines.choice import TRIAL_SECONDS
from embed.engines.choice import choose_engine
from embed.engines.choice import measure_rate
from embed.errors import EngineError
from tests.stub_engine import StubEngine

MANY = 10**6  # Views: a pass of hours.
FAULT = RuntimeError("No such operation:\n  Magic")


class TellingConsole(Console):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.said = []

    def say(self, text):
        """Keeps a remark."""
        self.said.append(text)


@dataclasses.dataclass
class Candidate:
    """An engine that might be chosen.

    Args:
        rate: What its trial shall show; `None` where there must be none.
        fails_in: `"create"` or `"call"` where it cannot run the backbone.
    """

    rate: float | None = None
    fails_in: str = ""


@pytest.fixture(name="images")
def _images():
    return np.random.default_rng(0).random((6, 8, 8, 3), np.float32)


@pytest.fixture(name="choose")
def _choose(tiny_backbone, images, monkeypatch):
    """Chooses among candidates, by name; returns engine, remarks and trials."""

    def choose(num_views=MANY, batch_size=None, **candidates):
        tried = {}  # Seconds of the last trial of each.

        def create(name, backbone, precision, batch_size):
            def run(batch):
                if candidates[name].fails_in == "call":
                    raise FAULT
                return np.zeros((len(batch), 4))

            if candidates[name].fails_in == "create":
                raise FAULT
            assert precision == "bfloat16"
            return StubEngine(backbone, run, name=name, batch_size=batch_size)

        def measure(engine, images, seconds):
            tried[engine.name] = seconds
            return candidates[engine.name].rate

        monkeypatch.setattr("embed.engines.choice.create_engine", create)
        monkeypatch.setattr("embed.engines.choice.measure_rate", measure)
        console = TellingConsole()
        engine = choose_engine(
            tuple(candidates),
            tiny_backbone,
            images,
            precision="bfloat16",
            batch_size=batch_size,
            num_views=num_views,
            console=console,
        )
        return engine, console.said, tried

    return choose


def test_one_candidate_is_taken_as_it_is(choose):
    """Without a trial, which could change nothing, and without a word."""
    engine, said, tried = choose(a=Candidate())

    assert engine.name == "a"
    assert not said
    assert not tried


@pytest.mark.parametrize("fastest", ["a", "b", "c"])
def test_the_fastest_is_taken(choose, fastest):
    """Wherever it is in the list; the rates of all are told."""
    rates = {"a": 97, "b": 98, "c": 99, fastest: 1234}

    engine, said, tried = choose(
        **{name: Candidate(rate) for name, rate in rates.items()}
    )

    assert engine.name == fastest
    assert tried == dict.fromkeys("abc", TRIAL_SECONDS)
    shown = ", ".join(f"{name} {rate:,}" for name, rate in rates.items())
    assert said == [f"Engine: {fastest}. Views/s in a short trial: {shown}."]


def test_the_first_of_equals_is_taken(choose):
    """The list is in order of what is known of them."""
    engine, _, _ = choose(a=Candidate(100), b=Candidate(100))

    assert engine.name == "a"


def test_a_short_pass_tries_no_others(choose):
    """They would take longer than they could save; that is told too."""
    engine, said, tried = choose(
        num_views=5_900,
        a=Candidate(100),
        b=Candidate(),
        c=Candidate(),
    )

    assert engine.name == "a"
    assert tried == {"a": GLANCE_SECONDS}
    assert said == [
        "Engine: a. Views/s in a short trial: a 100; b, c not tried, the "
        "pass being short."
    ]


def test_trials_end_where_the_pass_becomes_short(choose):
    """A fast engine makes a long pass a short one."""
    engine, said, tried = choose(
        num_views=50_000, a=Candidate(100), b=Candidate(1000), c=Candidate()
    )

    assert engine.name == "b"
    assert tried == {"a": TRIAL_SECONDS, "b": GLANCE_SECONDS}
    assert said[0].endswith(
        "a 100, b 1,000; c not tried, the pass being short."
    )


@pytest.mark.parametrize(
    ("num_views", "expected"), [(29_000, ["a"]), (31_000, ["a", "b"])]
)
def test_what_is_worth_a_trial_is_five_minutes(choose, num_views, expected):
    """By the rate of the first: 100 views a second take 300 s for 30,000."""
    _, _, tried = choose(num_views=num_views, a=Candidate(100), b=Candidate(90))

    assert list(tried) == expected


@pytest.mark.parametrize("fails_in", ["create", "call"])
def test_an_engine_that_cannot_run_it_is_passed_over(choose, fails_in):
    """It is named with its reason, on one line, and another is taken."""
    engine, said, tried = choose(
        a=Candidate(fails_in=fails_in), b=Candidate(5), c=Candidate(4)
    )

    assert engine.name == "b"
    assert list(tried) == ["b", "c"]
    assert said == [
        "The engine a cannot run hub:local: No such operation: Magic",
        "Engine: b. Views/s in a short trial: b 5, c 4.",
    ]


@pytest.mark.parametrize("num_views", [1, MANY])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_failed_was_not_left_out_for_shortness(
    choose, num_views, is_first
):
    """Why each engine was not taken is told as it was."""
    candidates = {"a": Candidate(5), "b": Candidate(fails_in="create")}
    if is_first:
        candidates = dict(reversed(candidates.items()))
    is_tried = is_first or num_views == MANY

    engine, said, _ = choose(num_views=num_views, **candidates)

    assert engine.name == "a"
    assert ("b not tried" in said[-1]) == (not is_tried)
    assert (len(said) == 2) == is_tried


@pytest.mark.parametrize("fails_in", ["create", "call"])
@pytest.mark.parametrize("names", ["a", "ab"])
def test_no_engine_left_is_an_error(choose, fails_in, names):
    """It says for which backbone, why, and what to do."""
    with pytest.raises(
        EngineError,
        match=rf"engines {', '.join(names)} can run the backbone hub:local"
        r"(?s:.*)No such operation(?s:.*)another `--engine`",
    ) as caught:
        choose(**{name: Candidate(fails_in=fails_in) for name in names})

    assert caught.value.__cause__ is FAULT


@pytest.mark.parametrize("batch_size", [None, 3])
def test_the_batch_size_is_that_of_the_request(choose, batch_size):
    """A default is left to the engine."""
    engine, _, _ = choose(batch_size=batch_size, a=Candidate())

    assert engine.batch_size == (batch_size or 4)  # Four have 256 pixels.


class Clock:
    """Stands still until a number of calls were made, then jumps.

    Args:
        num_calls: So many.
    """

    def __init__(self, num_calls):
        self.num_left = num_calls

    def monotonic(self):
        """Returns the seconds: 0 or 2."""
        return 2.0 * (self.num_left <= 0)


@pytest.mark.parametrize("num_streams", [1, 3])
def test_a_trial_runs_all_streams_at_once(
    tiny_backbone, images, monkeypatch, num_streams
):
    """Each waits for the others in its first batch; the rate is of them all."""
    clock, lock = Clock(num_calls=20), threading.Lock()
    all_run = threading.Barrier(num_streams)
    num_batches, met = 0, threading.local()

    def run(batch):
        nonlocal num_batches
        with lock:
            num_batches += 1
            clock.num_left -= 1
        if not hasattr(met, "is_so"):
            all_run.wait(timeout=30)
            met.is_so = True
        return np.zeros((len(batch), 4))

    engine = StubEngine(
        tiny_backbone, run, batch_size=4, num_streams=num_streams
    )
    monkeypatch.setattr("embed.engines.choice.time", clock)

    rate = measure_rate(engine, images, seconds=1)

    assert num_batches >= 20
    assert rate == num_batches * 4 / 2


def test_a_trial_of_no_time_has_a_rate(tiny_backbone, images):
    """A machine that is busy for a second leaves each stream one batch."""
    engine = StubEngine(
        tiny_backbone, lambda batch: np.zeros((len(batch), 4)), num_streams=2
    )

    assert measure_rate(engine, images, seconds=0) > 0
