"""What the benchmark of large builds tells the simulation, and its plans."""

import dataclasses
import statistics
import sys

import pytest

from benchmarks import plans
from benchmarks import scale
from benchmarks.calibration import BlockTimes
from benchmarks.calibration import Calibration
from benchmarks.plans import PLANS
from benchmarks.plans import Rates
from benchmarks.simulation import simulate
from embed.building.blocks import BLOCK_ROWS
from embed.devices import num_cpu_threads

MEASURED = {
    "few": 20.0,
    "few pass": 9.0,
    "many": 40.0,
    "many pass": 28.0,
    "there": 6.0,
}


@pytest.fixture(name="calibration")
def _calibration(monkeypatch):
    """What two cores would have measured of 5 and of 15 blocks."""
    monkeypatch.setattr(scale, "num_cpu_threads", lambda: 2)
    measured = Calibration.of(MEASURED, 5, 15, spread=0.0)
    return dataclasses.replace(measured, block_seconds=3.8, engine_seconds=4.0)


def predict(way, calibration, **more):
    """Returns the seconds of a build of 20 blocks."""
    return simulate(*scale.describe(way, calibration, 20, **more)).seconds


def test_costs_are_those_of_one_process():
    """20 blocks took 37 s of passes; ten more take 1 s longer in the end."""
    costs = Calibration.of(MEASURED, 5, 15, spread=0.1)

    assert costs == Calibration(
        driver_seconds=6.0,
        engine_seconds=pytest.approx(20 - 9 - 5 * 0.1 - 6),
        block_seconds=pytest.approx(37 / 20 * num_cpu_threads()),
        assembly_seconds=pytest.approx(0.1),
        spread=0.1,
    )


def test_one_worker_is_the_command_itself(calibration):
    """It starts once, and embeds on both cores."""
    expected = 6 + 4 + 20 * 1.9 + 20 * 0.1

    assert predict("1 worker", calibration) == pytest.approx(expected)


def test_workers_start_after_the_command_and_share_the_cores(calibration):
    """The second waits until the first has an engine, and then makes its own.

    One of them is a block behind in the end, at most.
    """
    least = 6 + 6 + 4 + 20 * 1.9 + 2

    assert least <= predict("2 workers", calibration) <= least + 2 + 3.8
    assert predict("4 workers", calibration) > least + 6


def test_a_kill_costs_a_start_and_the_blocks_of_one_worker(calibration):
    """The other one goes on meanwhile."""
    without = predict("2 workers", calibration)

    seconds = predict(scale.KILLED, calibration)

    work, fleet = scale.describe(scale.KILLED, calibration, 20)
    assert simulate(work, fleet).num_failures == 1
    assert without < seconds <= without + (6 + 4 + 2 * 3.8) / 2 + 3.8


def test_on_ray_one_worker_chooses_the_engine_ahead_of_all(calibration):
    """And a cluster must be started before."""
    least = 6 + 8 + (6 + 4) + (6 + 4) + 20 * 1.9 + 20 * 0.1

    seconds = predict(scale.RAY, calibration, cluster_seconds=8.0)

    assert least <= seconds <= least + 3.8


def test_the_time_of_each_block_is_noted():
    """Of all but the first, and of the pass alone."""
    times = BlockTimes()
    with times.progress("Comparing", 999, "pictures") as progress:
        progress.advance(999)
    with times.progress("Embedding", 4 * BLOCK_ROWS, "views") as progress:
        for _ in range(4 * 8):
            progress.advance(BLOCK_ROWS // 8)

    assert len(times.seconds) == 3
    assert statistics.mean(times.seconds) >= 0


def test_a_plan_has_the_bytes_of_its_rows():
    """Features, and what is stored beside them."""
    plan = next(plan for plan in PLANS if plan.num_images == 10**8)

    cells = plans.describe_plan(
        plan, Rates(), plans.find_times(plan, Rates(), 0.0, 1)
    )

    assert plans.row_bytes(2) == 2 * 1_792 * 4 + 100
    assert cells["cache float32, 2 views, TB"] == "1.444"
    assert cells["cache float16, 1 view, TB"] == "0.368"
    assert cells["blocks"] == f"{10 * -(-(10**7) // 256):,}"
    assert cells["read, GB/s"] == f"{16 * 1_000 * 110e3 / 1e9:,.3f}"


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_plans_hold_for_other_machines(plan):
    """Faster GPUs end earlier, failing machines later."""
    usual = plans.find_times(plan, Rates(), 0.0, 2)
    faster = plans.find_times(plan, Rates(gpu_views=4_000.0), 0.0, 2)
    failing = plans.find_times(plan, Rates(), 5_000.0, 2)

    if plan.num_gpus:
        assert faster.hours < usual.hours
    assert failing.hours > usual.hours
    assert failing.lost_share > usual.lost_share == 0


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "fast"])
def test_a_rate_that_is_none_is_a_wrong_usage(monkeypatch, capsys, rate):
    """Nothing is divided by it."""
    monkeypatch.setattr(sys, "argv", ["plans", f"--gpu-views={rate}"])

    with pytest.raises(SystemExit) as caught:
        plans.main()

    assert caught.value.code == 2
    assert f"a number above 0. Received: {rate}." in capsys.readouterr().err
