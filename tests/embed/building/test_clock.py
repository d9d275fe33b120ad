"""Tests for `embed.building.clock`."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed.building.clock import STAGES
from embed.building.clock import StageClock


class SetTime:
    """A time that a test sets, in each thread on its own."""

    def __init__(self):
        self._of_thread = threading.local()

    def monotonic(self):
        """Returns the seconds of this thread."""
        return getattr(self._of_thread, "seconds", 0.0)

    def pass_by(self, seconds):
        """Lets some seconds pass for this thread."""
        self._of_thread.seconds = self.monotonic() + seconds


@pytest.fixture(name="time")
def _time(monkeypatch):
    """The time by which clocks run."""
    time = SetTime()
    monkeypatch.setattr("embed.building.clock.time", time)
    return time


class SlowSeconds(dict):
    """Lets other threads go on between a look at a value and its change."""

    def __getitem__(self, stage):
        """Returns the seconds of a stage."""
        seconds = super().__getitem__(stage)
        sleep(1e-4)
        return seconds


def test_each_stage_has_its_seconds(time):
    """What is measured is added to its stage and no other."""
    clock = StageClock()

    for stage, seconds in [("read", 1), ("forward", 4), ("read", 2)]:
        with clock.measure(stage):
            time.pass_by(seconds)
        time.pass_by(8)

    assert clock.seconds == {"read": 3, "decode": 0, "forward": 4, "write": 0}


def test_seconds_add_up_over_threads(time):
    """Four that decode for 50 s each decode for 200 s, none of them lost."""
    clock = StageClock()
    clock.seconds = SlowSeconds(clock.seconds)

    def decode(_):
        for _ in range(50):
            with clock.measure("decode"):
                time.pass_by(1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, range(4)))

    assert clock.seconds["decode"] == 200


def test_what_fails_has_taken_its_time(time):
    """A stage that ends in an error is counted like any other."""
    clock = StageClock()

    def write():
        with clock.measure("write"):
            time.pass_by(3)
            raise OSError("No space left on device.")

    with pytest.raises(OSError, match="No space"):
        write()

    assert clock.seconds["write"] == 3


def test_the_pass_begins_when_it_is_said_to(time):
    """The seconds of what was read ahead count, the waiting for it does not."""
    clock = StageClock()
    with clock.measure("decode"):
        time.pass_by(5)

    clock.start()
    with clock.measure("forward"):
        time.pass_by(2)

    assert clock.elapsed() == 2
    assert clock.seconds == {
        **dict.fromkeys(STAGES, 0),
        "decode": 5,
        "forward": 2,
    }


def test_stages_are_told_as_shares():
    """Of the time of all threads, in order."""
    clock = StageClock()
    clock.seconds.update(read=1.0, decode=2.5, forward=16.0, write=0.5)

    assert (
        clock.describe() == "read 5.0%, decode 12.5%, forward 80.0%, write 2.5%"
    )


@given(st.lists(st.floats(0, 1e6), min_size=4, max_size=4))
def test_shares_are_of_the_whole(seconds):
    """They make 100 %, but for what is rounded; of nothing they are 0 %."""
    clock = StageClock()
    clock.seconds.update(zip(STAGES, seconds, strict=True))

    shares = re.findall(r"([\d.]+)%", clock.describe())

    whole = 100 if sum(seconds) else 0
    assert len(shares) == len(STAGES)
    assert sum(map(float, shares)) == pytest.approx(whole, abs=0.25)
