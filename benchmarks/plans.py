"""The plans of docs/scale.md: what a large build takes, simulated.

What was measured is on 2 CPU cores; no GPU was. The rate of one is assumed:
give that of yours, which `python -m embed build-cache --limit 2000` prints at
its end, and what else is known of your machines and pictures.
"""

import argparse
import dataclasses
import math
from typing import Any

import numpy as np

from benchmarks.fleet import Fleet
from benchmarks.fleet import Work
from benchmarks.measure import print_table
from benchmarks.rates import AWAY_SECONDS
from benchmarks.rates import CLUSTER_SECONDS
from benchmarks.rates import CPU_IMAGES
from benchmarks.rates import DTYPE
from benchmarks.rates import ENGINE_SECONDS
from benchmarks.rates import FEATURE_DIM
from benchmarks.rates import NUM_CPU_CORES
from benchmarks.rates import NUM_VIEWS
from benchmarks.rates import PLANNED
from benchmarks.rates import SPREAD
from benchmarks.rates import START_SECONDS
from benchmarks.rates import WORKER_BYTES
from benchmarks.rates import Rates
from benchmarks.rates import read_rate
from benchmarks.simulation import HOUR_SECONDS
from benchmarks.simulation import simulate
from embed.building.blocks import BLOCK_ROWS
from embed.doctor.estimate import FEATURE_BYTES
from embed.doctor.estimate import INDEX_BYTES
from embed.doctor.estimate import ROW_BYTES

# Units of a build: Ray is handed no more than 10,000, and no more are
# simulated where workers are handed single blocks, which takes minutes.
MOST_ITEMS, MOST_SIMULATED = 10_000, 4_000
# Failures in 1,000 machine-hours: none; as of the machines on which Llama 3
# was trained, of 8 GPUs (466 interruptions of 2,048 in 54 days: arXiv
# 2407.21783); and of machines of which one in 20 is taken away each hour.
FAILURES = (0.0, 0.2, 50.0)
NUM_SEEDS = 40
TERA, GIGA = 1e12, 1e9


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many pictures are embedded on what.

    Args:
        name: Of the column.
        num_images: In all.
        num_builds: Into which they are divided, all alike.
        num_lanes: Builds at the same time.
        num_machines: In all.
        num_gpus: Of each machine, 0 for one of 2 cores.
        on_ray: Whether a build uses several machines.
    """

    name: str
    num_images: int
    num_builds: int
    num_lanes: int
    num_machines: int
    num_gpus: int
    on_ray: bool = False

    @property
    def images_a_build(self) -> int:
        """Number of pictures of each build."""
        return self.num_images // self.num_builds

    @property
    def num_processors(self) -> int:
        """GPUs, or cores, of all machines."""
        return self.num_machines * (self.num_gpus or NUM_CPU_CORES)

    def images_a_second(self, rates: Rates) -> float:
        """Returns those of one processor."""
        if self.num_gpus:
            return rates.gpu_views / NUM_VIEWS
        return CPU_IMAGES / NUM_CPU_CORES


PLANS = (
    Plan("10^6, 2 cores", 10**6, 1, 1, 1, 0),
    Plan("10^6, 4 GPUs", 10**6, 1, 1, 1, 4),
    Plan("10^8, 2 x 8 GPUs", 10**8, 10, 2, 2, 8, on_ray=True),
    Plan("10^9, 8 x 8 GPUs", 10**9, 96, 16, 8, 8),
)


def describe(plan: Plan, rates: Rates, failures: float) -> tuple[Work, Fleet]:
    """Returns what the simulation is told of one build of a plan.

    Args:
        plan: The plan.
        rates: What is known.
        failures: Of a machine, in 1,000 hours; of a worker as many.
    """
    num_images = plan.images_a_build
    num_blocks = math.ceil(num_images / BLOCK_ROWS)
    listing_seconds = num_images / rates.listed
    worker_seconds = START_SECONDS + listing_seconds
    driver_seconds = worker_seconds + num_images / PLANNED
    block_seconds = BLOCK_ROWS / plan.images_a_second(rates)
    num_processors = plan.num_processors // plan.num_lanes
    away_seconds = AWAY_SECONDS
    if plan.on_ray:
        # One worker goes ahead of all others, to choose the engine.
        driver_seconds += CLUSTER_SECONDS + worker_seconds + ENGINE_SECONDS
    else:
        # The driver is gone with its machine, and plans again.
        away_seconds += driver_seconds
    num_workers = num_processors if plan.num_gpus else 1
    num_machines = plan.num_machines if plan.on_ray else 1
    work = Work(
        num_blocks=num_blocks,
        block_seconds=block_seconds,
        spread=SPREAD,
        blocks_a_unit=math.ceil(
            num_blocks / (MOST_ITEMS if plan.on_ray else MOST_SIMULATED)
        ),
        units_at_once=2 if plan.num_gpus else 1,
        driver_seconds=driver_seconds,
        worker_seconds=worker_seconds if plan.num_gpus else 0.0,
        engine_seconds=ENGINE_SECONDS,
        is_chosen=plan.on_ray,
        assembly_seconds=num_images
        * row_bytes(NUM_VIEWS, DTYPE)
        / rates.assembled,
    )
    fleet = Fleet(
        num_machines=num_machines,
        num_processors=num_processors // num_machines,
        num_workers=num_workers // num_machines,
        most_processors=num_processors / num_workers,
        failures=failures / 1_000,
        preemptions=failures / 1_000,
        away_seconds=away_seconds,
    )
    return work, fleet


def row_bytes(num_views: int, dtype: str = "float32") -> int:
    """Returns the bytes of a picture in a cache."""
    return num_views * FEATURE_DIM * FEATURE_BYTES[dtype] + ROW_BYTES


@dataclasses.dataclass(frozen=True)
class Times:
    """How long a plan takes, and what of that is in vain.

    Args:
        hours: Median, 5th and 95th percentile.
        lost_share: Of the work on blocks, on average.
        utilisation: Share of the processors' time that goes into blocks.
    """

    hours: tuple[float, float, float]
    lost_share: float
    utilisation: float


def find_times(
    plan: Plan, rates: Rates, failures: float, num_seeds: int
) -> Times:
    """Simulates a plan.

    One build is simulated with each seed; the builds of a lane, which follow
    each other, are drawn from these.
    """
    work, fleet = describe(plan, rates, failures)
    outcomes = [simulate(work, fleet, seed) for seed in range(num_seeds)]
    rng = np.random.default_rng(0)
    seconds = np.array([outcome.seconds for outcome in outcomes])
    builds_a_lane = math.ceil(plan.num_builds / plan.num_lanes)
    drawn = rng.choice(seconds, (num_seeds, plan.num_lanes, builds_a_lane))
    hours = drawn.sum(axis=2).max(axis=1) / HOUR_SECONDS
    median, low, high = np.percentile(hours, (50, 5, 95)).tolist()

    def mean(quantity: str) -> float:
        return float(np.mean([getattr(o, quantity) for o in outcomes]))

    return Times(
        hours=(median, low, high),
        lost_share=mean("lost_share"),
        utilisation=mean("utilisation"),
    )


def print_plans(
    num_seeds: int = NUM_SEEDS, rates: Rates | None = None
) -> dict[str, dict[str, Any]]:
    """Prints what the plans take, and returns their times by failures."""
    rates = rates or Rates()
    times = {
        plan.name: {
            f"{failures:g}": find_times(plan, rates, failures, num_seeds)
            for failures in FAILURES
        }
        for plan in PLANS
    }
    rows = [["", *(plan.name for plan in PLANS)]]
    columns = [
        describe_plan(plan, rates, times[plan.name][f"{FAILURES[1]:g}"])
        for plan in PLANS
    ]
    rows += [[name, *(c[name] for c in columns)] for name in columns[0]]
    print_table(
        f"Plans, at {rates.gpu_views:,.0f} views/s a GPU (assumed), "
        f"{NUM_VIEWS} views x {FEATURE_DIM:,} features in {DTYPE}:",
        rows,
    )
    rows = [["failures in 1,000 machine-hours", *times]]
    for failures in FAILURES:
        of_plans = [times[plan.name][f"{failures:g}"] for plan in PLANS]
        label = f"{failures:g}"
        rows.append([f"{label}: hours", *(_format(t.hours) for t in of_plans)])
        rows.append(
            [f"{label}: work lost", *(f"{t.lost_share:.3%}" for t in of_plans)]
        )
    print_table(f"Simulated, medians of {num_seeds} seeds (5 % to 95 %):", rows)
    return {
        name: {key: dataclasses.asdict(value) for key, value in of.items()}
        for name, of in times.items()
    }


def describe_plan(plan: Plan, rates: Rates, times: Times) -> dict[str, str]:
    """Returns the cells of a plan, by row of the table."""
    work, fleet = describe(plan, rates, 0.0)
    processors, hours = plan.num_processors, times.hours[0]
    reading = processors * plan.images_a_second(rates) * rates.picture_bytes
    of_build = plan.images_a_build
    caches = {
        (views, dtype): plan.num_images * row_bytes(views, dtype) / TERA
        for views in (1, 2)
        for dtype in FEATURE_BYTES
    }
    at_once = plan.num_lanes * of_build * row_bytes(NUM_VIEWS, DTYPE) / TERA
    num_lost = fleet.num_workers * fleet.num_machines * plan.num_lanes
    lost_seconds = num_lost * work.units_at_once * work.block_seconds
    lost_seconds /= fleet.most_processors
    num_failures = plan.num_machines * hours * FAILURES[1] / 1_000
    used = f"{processors * hours:,.1f}"
    return {
        "builds x pictures": f"{plan.num_builds:,} x {of_build:,}",
        "builds at the same time": f"{plan.num_lanes}",
        "hours": _format(times.hours),
        "GPU-hours (core-hours)": used if plan.num_gpus else f"({used})",
        "of these in blocks": f"{times.utilisation:.0%}",
        "pictures, TB": f"{plan.num_images * rates.picture_bytes / TERA:,.2f}",
        "read, GB/s": f"{reading / GIGA:,.3f}",
        "blocks": f"{plan.num_builds * work.num_blocks:,}",
        "block files at once": f"{plan.num_lanes * work.num_blocks:,}",
        "blocks at once, TB": f"{at_once:,.3f}",
        "cache float32, 1 view, TB": f"{caches[1, 'float32']:,.3f}",
        "cache float32, 2 views, TB": f"{caches[2, 'float32']:,.3f}",
        "cache float16, 1 view, TB": f"{caches[1, 'float16']:,.3f}",
        "cache float16, 2 views, TB": f"{caches[2, 'float16']:,.3f}",
        "driver, GB": f"{of_build * INDEX_BYTES / GIGA:,.1f}",
        "index of a worker, GB": f"{of_build * WORKER_BYTES / GIGA:,.1f}",
        "machine failures expected": f"{num_failures:,.4f}",
        "lost at most, s of a GPU": f"{lost_seconds:,.1f}",
    }


def _format(hours: tuple[float, float, float]) -> str:
    median, low, high = (f"{value:,.2f}" for value in hours)
    return f"{median} ({low}-{high})"


def main() -> None:
    """Prints the plans at the rates that are given."""
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = Rates()
    for field in dataclasses.fields(Rates):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=read_rate,
            default=getattr(defaults, field.name),
            help="default: %(default)s",
        )
    print_plans(rates=Rates(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
