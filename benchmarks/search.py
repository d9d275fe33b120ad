"""A search: `tune search` against KerasTuner's own with `Model.fit`.

Both are commands, timed from outside, start-up and compilation included: 32
random trials of the default space, of up to 60 epochs, on a cache of 3,680 x
2 x 1792 features. KerasTuner runs 8 of them a round, others in each round;
what they took is counted four times, start-up once. It gets the batch size of
our space, 64, and Keras's default, 32, which takes twice as many steps; it has
no reference recipe to train. Ours is run without baselines, which it has none
of. It scores a trial by its best epoch, ours by the last, whose head is
exported. The figures to quote are the ratios of trials a second, and by how
much the best validation accuracy of our trials, its median, differs from the
best of all trials that KerasTuner ran on batches of a size.
"""

import functools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.features import FEATURE_DIM
from benchmarks.features import NUM_TRAIN
from benchmarks.features import NUM_VIEWS
from benchmarks.features import draw_cache
from benchmarks.measure import WARM_UP
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import Values
from benchmarks.measure import measure_in_turn
from benchmarks.measure import parse_options
from benchmarks.measure import print_result
from benchmarks.measure import print_table

ROOT = Path(__file__).parents[1]
NUM_TRIALS, NUM_STOCK_TRIALS = 32, 8
OURS = "tune search"
STOCK, STOCK_DEFAULT = "RandomSearch, batches of 64", "RandomSearch, of 32"
BATCH_SIZES = {STOCK: 64, STOCK_DEFAULT: 32}


def main() -> None:
    """Measures all ways in turn and prints what they took."""
    options = parse_options(__doc__)
    count = options.shrink(NUM_TRAIN)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "drawn.h5"
        draw_cache(path, count)
        rounds = measure_in_turn(
            {OURS: functools.partial(run_ours, path, folder)}
            | {
                way: functools.partial(run_stock, path, folder, batch_size)
                for way, batch_size in BATCH_SIZES.items()
            },
            options.num_rounds,
        )
    report(rounds, count, options)


def report(rounds: Rounds, num_images: int, options: Options) -> None:
    """Prints the table and the JSON line."""
    rows = [["way", "trials/s", "s for 32", "best accuracy %"]]
    for way in (OURS, *BATCH_SIZES):
        best = [100 * score for score in rounds.of(way, "best")]
        rows.append(
            [
                way,
                Summary.of(rounds.of(way, "rate")).format(3),
                Summary.of(rounds.of(way, "seconds")).format(1),
                Summary.of(best).format(2),
            ]
        )
    print_table(
        f"A search on {num_images:,} x {NUM_VIEWS} x {FEATURE_DIM} features, "
        f"{options.describe()} (min-max):",
        rows,
    )
    ratios = {way: rounds.ratio(OURS, way, "rate") for way in BATCH_SIZES}
    ours = Summary.of(rounds.of(OURS, "best")).median
    differences = {
        way: 100 * (ours - max(rounds.of(way, "best"))) for way in BATCH_SIZES
    }
    times = ", ".join(f"{w}: {r.format(1)}" for w, r in ratios.items())
    print(f"times as many trials a second as {times}")
    points = ", ".join(f"{w}: {d:+.2f}" for w, d in differences.items())
    print(
        f"points of validation accuracy, best of our {NUM_TRIALS} trials "
        f"(median) less best of KerasTuner's "
        f"{NUM_STOCK_TRIALS * len(rounds.values)}, {points}"
    )
    print_result(
        "search",
        {"ratios": ratios, "accuracy_differences": differences},
        rounds,
        options,
        threads="TensorFlow's default; tune search: a head a core",
        packages=("keras-tuner",),
    )


def run_ours(path: Path, folder: Path, number: int) -> Values:
    """Searches by our command."""
    num_trials = 1 if number == WARM_UP else NUM_TRIALS
    words = ["tune", "search", "--cache", str(path), "--overwrite", "-q"]
    words += ["--artifacts", str(folder), "--json", "--no-baselines"]
    words += ["--max-trials", str(num_trials), "--seed", str(max(number, 0))]
    result, seconds = run(words)
    return {
        "seconds": seconds,
        "rate": num_trials / seconds,
        "best": result["best_score"],
    }


def run_stock(path: Path, folder: Path, batch_size: int, number: int) -> Values:
    """Searches by KerasTuner's tuner."""
    num_trials = 1 if number == WARM_UP else NUM_STOCK_TRIALS
    arguments = num_trials, batch_size, 100 + number  # Seeds count trials up.
    words = ["benchmarks.stock_search", str(path), str(folder / "stock")]
    result, seconds = run([*words, *map(str, arguments)])
    times = NUM_TRIALS / num_trials
    seconds += (times - 1) * result["seconds"]
    return {
        "seconds": seconds,
        "rate": NUM_TRIALS / seconds,
        "best": result["best_score"],
    }


def run(words: list[str]) -> tuple[dict[str, float], float]:
    """Returns what a command prints last, as JSON, and its seconds."""
    began = time.perf_counter()
    output = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    seconds = time.perf_counter() - began
    return json.loads(output.splitlines()[-1]), seconds


if __name__ == "__main__":
    main()
