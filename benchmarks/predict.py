"""Predicting: `head predict` against the pass that builds a cache.

Both run 2,000 drawn pictures of 256 x 192 px through MobileNetV2 1.4 at 224 px
on one engine, LiteRT, from JPEG files on: one to classes, one to features of
one view. Each says its rate itself, start-up left out. The figure to quote is
the ratio of the rates: an exported model should answer about as fast as its
backbone embeds.
"""

import functools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import Values
from benchmarks.measure import measure_in_turn
from benchmarks.measure import parse_options
from benchmarks.measure import print_result
from benchmarks.measure import print_table
from benchmarks.measure import start_worker
from benchmarks.pictures import draw_pictures
from benchmarks.with_keras import HANDLE
from benchmarks.with_keras import IMAGE_SIDE
from benchmarks.with_keras import save_random_weights

ROOT = Path(__file__).parents[1]
NUM_PICTURES, NUM_TO_TRAIN = 2_000, 400
ENGINE = "litert"
PREDICT, BUILD = "head predict", "build-cache, one view"


def main() -> None:
    """Measures both in turn and prints what they took."""
    options = parse_options(__doc__)
    count = options.shrink(NUM_PICTURES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "drawn.weights.h5"
        with start_worker() as worker:
            worker.submit(save_random_weights, weights).result()
        draw_pictures(folder / "few", options.shrink(NUM_TO_TRAIN))
        draw_pictures(folder / "many", count)
        backbone = ["--backbone", HANDLE, "--weights", str(weights)]
        backbone += ["--image-size", str(IMAGE_SIDE), "--engine", ENGINE]
        build = ["embed", "build-cache", "--views", "plain", *backbone]
        build += ["--artifacts", str(folder), "--overwrite"]
        run([*build, "--dataset", f"folder:{folder / 'few'}"])
        run(["head", "train", "--artifacts", str(folder)])
        export = ["head", "export-full-model", "--format", "keras"]
        model = run([*export, "--artifacts", str(folder)])["model"]
        predict = ["head", "predict", str(folder / "many"), "--model", model]
        commands = {
            PREDICT: [*predict, "--engine", ENGINE],
            BUILD: [*build, "--dataset", f"folder:{folder / 'many'}"],
        }
        rounds = measure_in_turn(
            {
                name: functools.partial(measure, words)
                for name, words in commands.items()
            },
            options.num_rounds,
        )
    report(rounds, count, options)


def measure(words: list[str], number: int) -> Values:
    """Returns the rate that a command says, and its seconds in all."""
    began = time.perf_counter()
    said = run(words)
    seconds = time.perf_counter() - began
    rate = said.get("images_per_second") or said["views_per_second"]
    return {"rate": rate, "seconds": seconds}


def run(words: list[str]) -> dict[str, Any]:
    """Returns the object that a command prints."""
    output = subprocess.run(
        [sys.executable, "-m", *words, "--json", "-q"],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    answer: dict[str, Any] = json.loads(output)
    return answer


def report(rounds: Rounds, num_pictures: int, options: Options) -> None:
    """Prints the table and the JSON line."""
    rows = [["way", "images/s", "seconds in all"]]
    for way in (PREDICT, BUILD):
        rate = Summary.of(rounds.of(way, "rate"))
        seconds = Summary.of(rounds.of(way, "seconds"))
        rows.append([way, rate.format(1), seconds.format(1)])
    print_table(
        f"MobileNetV2 1.4 at 224 px on {num_pictures:,} JPEG files, "
        f"{options.describe()} (min-max):",
        rows,
    )
    ratio = rounds.ratio(PREDICT, BUILD, "rate")
    print(f"times the rate of build-cache: {ratio.format(2)}")
    print_result(
        "predict",
        {"ratio": ratio},
        rounds,
        options,
        threads="all cores, LiteRT by its own default",
        packages=("ai-edge-litert",),
    )


if __name__ == "__main__":
    main()
