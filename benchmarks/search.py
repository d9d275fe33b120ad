"""A search: `tune search` against KerasTuner's own with `Model.fit`.

Both are commands, timed from outside, start-up and compilation included: 32
random trials of the default space, of up to 60 epochs, on a cache of 3,680 x
2 x 1792 features. KerasTuner runs the first 8 of them, the same hyperparameters
from the same seed, another in each round; what they took is counted four times,
start-up once. It gets the batch size of our space, 64, and Keras's default, 32,
which takes twice as many steps; it has no reference recipe to train. Ours is
run without baselines, which it has none of.

The figures to quote are the ratios of trials a second, and by how much the best
validation accuracy of the trials that both trained differs. It is that after
the last epoch, whose head we export; KerasTuner scores a trial by its best
epoch, chosen on the same images, and is compared by that as well.
"""

import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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
from tune.oracles import spread_seed
from tune.results import TRIALS
from tune.trials import read_trials

ROOT = Path(__file__).parents[1]
NUM_TRIALS, NUM_STOCK_TRIALS = 32, 8
OURS = "tune search"
STOCK, STOCK_DEFAULT = "RandomSearch, batches of 64", "RandomSearch, of 32"
BATCH_SIZES = {STOCK: 64, STOCK_DEFAULT: 32}
# What a trial of KerasTuner's is scored by, and its words.
SCORES = {"best": "after the last epoch", "best by epoch": "by its best epoch"}


class Searches:
    """Both searches of a round, from one seed.

    Args:
        path: The cache.
        folder: What they write.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self._folder = path, folder
        self._specs: list[dict[str, Any]] = []  # Of ours in this round.

    def run_ours(self, number: int) -> Values:
        """Searches by our command."""
        num_trials = 1 if number == WARM_UP else NUM_TRIALS
        words = ["tune", "search", "--cache", str(self._path), "--overwrite"]
        words += ["--artifacts", str(self._folder), "--json", "--no-baselines"]
        words += ["--max-trials", str(num_trials), "--seed", str(number + 1)]
        result, seconds = run([*words, "--quiet"])
        records = read_trials(Path(result["search"]) / TRIALS)
        by_id = {record.trial_id: record for record in records}
        count = min(num_trials, NUM_STOCK_TRIALS)
        shared = [by_id[name] for name in sorted(by_id)[:count]]
        self._specs = [record.spec.model_dump() for record in shared]
        return {
            "seconds": seconds,
            "rate": num_trials / seconds,
            "best of all": 100 * result["best_score"],
            **summarize([record.val_accuracy or 0.0 for record in shared]),
        }

    def run_stock(self, batch_size: int, number: int) -> Values:
        """Searches by KerasTuner's tuner, after ours."""
        arguments = len(self._specs), batch_size, spread_seed(number + 1)
        words = ["benchmarks.stock_search", str(self._path)]
        words += [str(self._folder / "stock"), *map(str, arguments)]
        result, seconds = run(words)
        trials = result["trials"]
        for trial, spec in zip(trials, self._specs, strict=True):
            if trial["spec"] | {"fingerprint": spec["fingerprint"]} != spec:
                raise RuntimeError(f"other trials: {trial['spec']}, {spec}")
        seconds += (NUM_TRIALS / len(trials) - 1) * result["seconds"]
        return {
            "seconds": seconds,
            "rate": NUM_TRIALS / seconds,
            "best by epoch": 100 * max(t["best_epoch"] for t in trials),
            **summarize([trial["last_epoch"] for trial in trials]),
        }


def summarize(scores: list[float]) -> Values:
    """Returns the best of some trials and their mean, in percent."""
    return {"best": 100 * max(scores), "mean": 100 * statistics.fmean(scores)}


def main() -> None:
    """Measures all ways in turn and prints what they took."""
    options = parse_options(__doc__)
    count = options.shrink(NUM_TRAIN)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "drawn.h5"
        draw_cache(path, count)
        searches = Searches(path, folder)
        rounds = measure_in_turn(
            {OURS: searches.run_ours}
            | {
                way: functools.partial(searches.run_stock, batch_size)
                for way, batch_size in BATCH_SIZES.items()
            },
            options.num_rounds,
        )
    report(rounds, count, options)


def report(rounds: Rounds, num_images: int, options: Options) -> None:
    """Prints the table and the JSON line."""
    columns = {"rate": 3, "seconds": 1, "best": 2, "mean": 2}
    shared = f"best of {NUM_STOCK_TRIALS}"
    titles = "trials/s", f"s for {NUM_TRIALS}", f"{shared} %", "their mean %"
    rows = [["way", *titles]]
    for way in (OURS, *BATCH_SIZES):
        cells = [
            Summary.of(rounds.of(way, quantity)).format(num_digits)
            for quantity, num_digits in columns.items()
        ]
        rows.append([way, *cells])
    print_table(
        f"A search on {num_images:,} x {NUM_VIEWS} x {FEATURE_DIM} features, "
        f"{options.describe()} (min-max):",
        rows,
    )
    ratios = {way: rounds.ratio(OURS, way, "rate") for way in BATCH_SIZES}
    times = ", ".join(f"{w}: {r.format(1)}" for w, r in ratios.items())
    print(f"times as many trials a second as {times}")
    differences = {}
    for score, called in SCORES.items():
        differences[score] = {
            way: rounds.difference(OURS, "best", way, score)
            for way in BATCH_SIZES
        }
        found = differences[score].items()
        points = ", ".join(f"{w}: {d.format(2)}" for w, d in found)
        print(f"points of our {shared}, less KerasTuner's {called}, {points}")
    of_all = Summary.of(rounds.of(OURS, "best of all"))
    print(f"best of our {NUM_TRIALS} and the reference: {of_all.format(2)} %")
    print_result(
        "search",
        {"ratios": ratios, "accuracy_differences": differences},
        rounds,
        options,
        threads="TensorFlow's default; tune search: a head a core",
        packages=("keras-tuner",),
    )


def run(words: list[str]) -> tuple[dict[str, Any], float]:
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
