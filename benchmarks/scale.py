"""Large builds, simulated: first against real ones of here, then as planned.

A build of 5,120 drawn pictures (MobileNetV2 1.4 at 224 px, one view) by 1, 2
and 4 workers, by 2 of which one is killed, and by 2 on Ray, from outside and
with start-up, against what the simulation says beforehand. That knows what one
process took on other numbers of pictures, and no run with workers. The figure
to quote is how far it is off; after it come the plans of docs/scale.md under
several rates of failure.
"""

import dataclasses
import functools
import importlib.util
import statistics
import tempfile
from pathlib import Path

from benchmarks.calibration import Calibration
from benchmarks.calibration import command_of_build
from benchmarks.calibration import measure_costs
from benchmarks.calibration import measure_ray
from benchmarks.calibration import measure_spread
from benchmarks.calibration import run_command
from benchmarks.measure import WARM_UP
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import Values
from benchmarks.measure import Way
from benchmarks.measure import measure_in_turn
from benchmarks.measure import parse_options
from benchmarks.measure import print_result
from benchmarks.measure import print_table
from benchmarks.measure import start_worker
from benchmarks.pictures import draw_pictures
from benchmarks.pictures import link_first
from benchmarks.plans import print_plans
from benchmarks.simulation import Fleet
from benchmarks.simulation import Work
from benchmarks.simulation import simulate
from benchmarks.with_keras import save_random_weights
from embed.building.blocks import BLOCK_ROWS
from embed.devices import num_cpu_threads

# Blocks, in fives: one is of the test split then, and none is in part.
NUM_FEW, NUM_MANY, NUM_REAL = 5, 15, 20
SMALL_FEW, SMALL_MANY, SMALL_REAL = 5, 10, 5
NUM_SEEDS = 9  # Of a prediction, which is their median.
NUM_PLAN_SEEDS = 40  # Of the time of a plan: for its 5th and 95th percentile.
COSTS, CLUSTER = "one process", "a cluster's start"
REAL, PREDICTED, ERROR = "seconds", "predicted_seconds", "off_by_percent"
KILLED = "2 workers, one killed"
RAY = "2 workers on Ray"
WORKERS = {"1 worker": 1, "2 workers": 2, "4 workers": 4, KILLED: 2, RAY: 2}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Numbers of blocks.

    Args:
        few: Of the smaller folder to calibrate on.
        many: Of the larger one.
        real: Of the builds that are predicted.
    """

    few: int
    many: int
    real: int


class RealRuns:
    """The ways of this benchmark, in the order in which they know of another.

    Args:
        folder: With pictures in `few`, `many` and `real`.
        weights: Of the backbone.
        sizes: Of these folders.
        spread: Of blocks.
    """

    def __init__(
        self, folder: Path, weights: str, sizes: Sizes, spread: float
    ) -> None:
        self._folder, self._weights = folder, weights
        self._sizes, self._spread = sizes, spread
        self._calibration: Calibration | None = None
        self._cluster_seconds = 0.0

    def calibrate(self, number: int) -> Values:
        """Measures one process."""
        if number == WARM_UP:  # Reads libraries; that is all it can do.
            run_command(command_of_build(self._folder / "few", self._weights))
            return {}
        values = measure_costs(self._folder, self._weights)
        self._calibration = Calibration.of(
            values, self._sizes.few, self._sizes.many, self._spread
        )
        return values | dataclasses.asdict(self._calibration)

    def start_cluster(self, _: int) -> Values:
        """Measures the start of a cluster."""
        self._cluster_seconds = measure_ray()
        return {REAL: self._cluster_seconds}

    def run(self, way: str, number: int) -> Values:
        """Predicts a build, and runs it."""
        if number == WARM_UP or self._calibration is None:
            return {}
        work, fleet = describe(
            way, self._calibration, self._sizes.real, self._cluster_seconds
        )
        outcomes = [simulate(work, fleet, seed) for seed in range(NUM_SEEDS)]
        predicted = statistics.median(o.seconds for o in outcomes)
        words = ["--workers", str(WORKERS[way])]
        words += ["--runner", "ray"] if way == RAY else []
        command = command_of_build(self._folder / "real", self._weights, words)
        seconds, _ = run_command(command, *fleet.kills)
        return {
            REAL: seconds,
            PREDICTED: predicted,
            ERROR: 100 * (predicted / seconds - 1),
        }


def describe(
    way: str,
    calibration: Calibration,
    num_blocks: int,
    cluster_seconds: float = 0.0,
) -> tuple[Work, Fleet]:
    """Returns what the simulation is told of a build on this machine.

    Args:
        way: One of `WORKERS`.
        calibration: What a build costs here.
        num_blocks: Of the build.
        cluster_seconds: Of the start of a cluster.
    """
    work = calibration.describe_work(num_blocks)
    num_cores, num_workers = num_cpu_threads(), WORKERS[way]
    fleet = Fleet(
        num_processors=num_cores,
        num_workers=num_workers,
        most_processors=max(num_cores // num_workers, 1),
    )
    if num_workers == 1:  # The driver itself.
        return dataclasses.replace(work, worker_seconds=0), fleet
    # Until a worker can embed, where each has a core for its start.
    start_seconds = work.worker_seconds + work.engine_seconds
    if way == KILLED:
        half = num_blocks / 2 * work.block_seconds / num_cores
        kills = (work.driver_seconds + start_seconds + half,)
        return work, dataclasses.replace(fleet, kills=kills)
    if way == RAY:
        # One worker computes a block, which chooses the engine, and ends.
        block_seconds = work.block_seconds / fleet.most_processors
        scout_seconds = start_seconds + block_seconds
        work = dataclasses.replace(
            work,
            num_blocks=num_blocks - 1,
            driver_seconds=work.driver_seconds
            + cluster_seconds
            + scout_seconds,
            is_chosen=True,
        )
    return work, fleet


def main() -> None:
    """Measures all ways in turn, and prints them beside the predictions."""
    options = parse_options(__doc__)
    sizes = Sizes(NUM_FEW, NUM_MANY, NUM_REAL)
    if options.is_small:
        sizes = Sizes(SMALL_FEW, SMALL_MANY, SMALL_REAL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = str(folder / "drawn.weights.h5")
        most = max(dataclasses.astuple(sizes))
        draw_pictures(folder / "drawn", most * BLOCK_ROWS)
        for part, num_blocks in dataclasses.asdict(sizes).items():
            link_first(folder / "drawn", num_blocks * BLOCK_ROWS, folder / part)
        with start_worker() as worker:
            worker.submit(save_random_weights, Path(weights)).result()
        with start_worker() as worker:
            spread = worker.submit(measure_spread, folder, weights).result()
        runs = RealRuns(folder, weights, sizes, spread)
        rounds = measure_in_turn(list_ways(runs), options.num_rounds)
    report(rounds, sizes, options)


def list_ways(runs: RealRuns) -> dict[str, Way]:
    """Returns what is measured here, the calibration first."""
    ways: dict[str, Way] = {COSTS: runs.calibrate}
    has_ray = importlib.util.find_spec("ray") is not None
    if has_ray:
        ways[CLUSTER] = runs.start_cluster
    for way in WORKERS:
        if way != RAY or has_ray:
            ways[way] = functools.partial(runs.run, way)
    return ways


def report(rounds: Rounds, sizes: Sizes, options: Options) -> None:
    """Prints the tables and the JSON line."""
    figures = {
        way: {
            quantity: Summary.of(rounds.of(way, quantity))
            for quantity in (REAL, PREDICTED, ERROR)
        }
        for way in WORKERS
        if way in rounds.values[0]
    }
    rows = [["way", "real s", "predicted s", "off by %"]]
    for way, of_way in figures.items():
        cells = [summary.format(1) for summary in of_way.values()]
        rows.append([way, *cells])
    print_table(
        f"{sizes.real * BLOCK_ROWS:,} JPEG files, MobileNetV2 1.4 at 224 px, "
        f"one view, {num_cpu_threads()} cores, {options.describe()} "
        "(min-max):",
        rows,
    )
    costs = {
        field.name: Summary.of(rounds.of(COSTS, field.name))
        for field in dataclasses.fields(Calibration)
    }
    print(
        "One process took, on other numbers of pictures: "
        f"{costs['driver_seconds'].format(1)} s to its plan, "
        f"{costs['engine_seconds'].format(1)} s for the engine, "
        f"{costs['block_seconds'].format(2)} core-seconds a block, which vary "
        f"by {costs['spread'].median:.1%}"
    )
    print_result(
        "scale",
        {
            "builds": figures,
            "costs": costs,
            "plans": print_plans(options.shrink(NUM_PLAN_SEEDS)),
            "left_out": [way for way in WORKERS if way not in figures],
        },
        rounds,
        options,
        threads="all cores, divided among the workers",
        packages=("ai-edge-litert", "ray"),
    )


if __name__ == "__main__":
    main()
