"""A simulated build goes as a build must, whatever happens to it."""

import dataclasses
import statistics

import pytest

from benchmarks.processors import Processors
from benchmarks.simulation import Fleet
from benchmarks.simulation import Outcome
from benchmarks.simulation import Work
from benchmarks.simulation import simulate

WORK = Work(num_blocks=600, block_seconds=10.0)
FLEET = Fleet(num_machines=4, num_processors=2, num_workers=2)
START = {
    "driver_seconds": 5.0,
    "worker_seconds": 8.0,
    "engine_seconds": 2.0,
    "choice_seconds": 3.0,
    "assembly_seconds": 7.0,
}


def mean_seconds(work: Work, fleet: Fleet, num_seeds: int = 12) -> float:
    """Returns the mean time of a build over seeds."""
    return statistics.mean(
        simulate(work, fleet, seed).seconds for seed in range(num_seeds)
    )


def test_equal_blocks_without_failures_take_what_arithmetic_says():
    """600 blocks of 10 s on 8 processors: 75 rounds, and what surrounds them.

    The chooser is ready 3 s before the others, which it uses for blocks.
    """
    work = dataclasses.replace(WORK, **START)

    outcome = simulate(work, FLEET)

    assert simulate(WORK, FLEET).seconds == pytest.approx(750)
    assert outcome.seconds == pytest.approx(5 + 8 + 2 + 3 + 2 + 750 + 7)
    assert outcome.utilisation == pytest.approx(6_000 / (8 * outcome.seconds))


def test_workers_share_the_cores_they_start_on():
    """Four on two cores start in twice the time, and embed no faster."""
    work = dataclasses.replace(WORK, **START, is_chosen=True)
    alone = Fleet(num_processors=2, num_workers=2)
    crowded = Fleet(num_processors=2, num_workers=4)

    assert simulate(work, alone).seconds == pytest.approx(5 + 10 + 3_000 + 7)
    assert simulate(work, crowded).seconds == pytest.approx(5 + 20 + 3_000 + 7)


def test_a_worker_alone_keeps_as_many_cores_busy_as_it_may():
    """Its start is on one core all the same."""
    work = dataclasses.replace(WORK, **START)
    fleet = Fleet(num_processors=2, most_processors=2)

    assert simulate(work, fleet).seconds == pytest.approx(5 + 13 + 3_000 + 7)


@pytest.mark.parametrize("blocks_a_unit", [1, 7])
@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize(
    "trouble",
    [
        {},
        {"failures": 20.0},
        {"preemptions": 5.0},
        {"failures": 20.0, "preemptions": 5.0, "slow_share": 0.25},
    ],
)
def test_each_block_is_done_once(blocks_a_unit, spread, trouble):
    """Nothing is lost for ever, or counted twice; lost work is counted."""
    work = dataclasses.replace(
        WORK, **START, blocks_a_unit=blocks_a_unit, spread=spread
    )

    outcome = simulate(work, dataclasses.replace(FLEET, **trouble))

    assert outcome.num_blocks == WORK.num_blocks
    assert outcome.done_seconds == pytest.approx(
        WORK.num_blocks * WORK.block_seconds, rel=0.1 if spread else 1e-9
    )
    had_trouble = bool(outcome.num_failures + outcome.num_preemptions)
    assert had_trouble == bool(trouble)
    assert (outcome.lost_seconds > 0) == had_trouble
    assert (outcome.num_lost > 0) == had_trouble
    used = outcome.done_seconds + outcome.lost_seconds
    assert used <= 8 * outcome.seconds


def test_a_failure_loses_one_block_at_most():
    """Also of a unit of seven: those that were finished are kept."""
    work = dataclasses.replace(WORK, blocks_a_unit=7)
    fleet = dataclasses.replace(FLEET, kills=(34.0, 101.0))

    outcome = simulate(work, fleet)

    assert outcome.num_failures == outcome.num_lost == 2
    # Killed 4 s into its fourth block, begun anew, and 7 s into another.
    assert outcome.lost_seconds == pytest.approx(4 + 7)


def test_more_failures_never_end_earlier():
    """On average over seeds; work lost grows with them."""
    work = dataclasses.replace(WORK, **START, spread=0.2)
    fleets = [
        dataclasses.replace(FLEET, failures=failures)
        for failures in (0.0, 5.0, 50.0)
    ]

    seconds = [mean_seconds(work, fleet) for fleet in fleets]
    lost = [simulate(work, fleet).lost_share for fleet in fleets]

    assert seconds == sorted(seconds)
    assert lost == sorted(lost)
    assert lost[0] == 0


def test_the_first_worker_may_fail_while_all_wait_for_it():
    """Another one chooses the engine then."""
    work = dataclasses.replace(WORK, **START)
    fleet = Fleet(num_processors=1, num_workers=1, kills=(14.0,))

    outcome = simulate(work, fleet)

    assert outcome.num_blocks == WORK.num_blocks
    assert outcome.seconds == pytest.approx(14 + 8 + 5 + 6_000 + 7)


def test_a_straggler_holds_up_the_end_by_the_units_it_has():
    """A machine of a fifth of the speed ends its two units when all wait."""
    fleet = Fleet(num_machines=4, slow_share=0.25, slow_factor=5)
    short = dataclasses.replace(WORK, num_blocks=64)

    outcome = simulate(short, fleet)

    # 3.2 machines' worth: 200 s; two units of the slow one take 100 s.
    assert 200 < outcome.seconds <= 200 + 2 * 5 * 10
    small = simulate(dataclasses.replace(short, blocks_a_unit=1), fleet)
    large = simulate(dataclasses.replace(short, blocks_a_unit=8), fleet)
    assert small.seconds < large.seconds


def test_a_preempted_machine_is_missed_and_comes_back():
    """The others do its blocks; the longer it is away, the later all end."""
    brief = dataclasses.replace(FLEET, preemptions=2.0, away_seconds=60.0)
    for_ever = dataclasses.replace(brief, away_seconds=1e9)

    gone = simulate(WORK, for_ever)

    assert 1 <= gone.num_preemptions < FLEET.num_machines
    assert gone.num_blocks == WORK.num_blocks
    times = [mean_seconds(WORK, fleet) for fleet in (FLEET, brief)]
    assert (
        times[0]
        < times[1]
        < mean_seconds(WORK, dataclasses.replace(brief, away_seconds=600.0))
    )


def test_the_same_seed_gives_the_same_build():
    """And another seed another one."""
    work = dataclasses.replace(WORK, **START, spread=0.3)
    fleet = dataclasses.replace(FLEET, failures=10.0)

    def run(seed: int) -> Outcome:
        return simulate(work, fleet, seed)

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_processors_are_shared_fairly_and_none_is_idle():
    """What one cannot keep busy the others have."""
    processors = Processors[str](4)
    processors.add(0.0, "one", 10.0, most=1)
    processors.add(0.0, "many", 30.0, most=8)

    seconds, user, _ = processors.next_end()

    # One has one processor for 10 s, the other three.
    assert (seconds, user) == (10.0, "one")
    assert processors.remove(5.0, "one") == 5.0
    assert processors.next_end()[0] == pytest.approx(5 + 15 / 4)
