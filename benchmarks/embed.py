"""From JPEG files to features, end to end: our command against what one writes.

Every way is a command, run on 128 drawn pictures and on these with thousands
more; what it takes longer is the rate, so that start-up falls out. MobileNetV2
1.4 at 224 px, one view. The figures to quote are the ratios to
`keras.Model.predict`, and the shares of what the processor could do.
"""

import functools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.alternatives import PREDICT
from benchmarks.alternatives import WAYS
from benchmarks.commands import BFLOAT16
from benchmarks.commands import FLIP
from benchmarks.commands import ONE_VIEW
from benchmarks.commands import ONE_VIEW_OURS
from benchmarks.commands import OURS
from benchmarks.commands import Command
from benchmarks.commands import list_commands
from benchmarks.measure import WARM_UP
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import Values
from benchmarks.measure import divide
from benchmarks.measure import measure_in_turn
from benchmarks.measure import parse_options
from benchmarks.measure import print_result
from benchmarks.measure import print_table
from benchmarks.measure import start_worker
from benchmarks.pictures import draw_pictures
from benchmarks.pictures import link_first
from benchmarks.with_keras import save_random_weights
from embed.cache import open_cache
from embed.devices import prepare_devices
from embed.splits import Selection

ROOT = Path(__file__).parents[1]
NUM_FEW = 128  # Pictures.
# Half a minute of each way, or more: start-up differs by a second between runs.
DEFAULT_NUM_MORE = 4_096
NUM_MORE = {PREDICT: 2_048, ONE_VIEW: 8_192, BFLOAT16: 8_192}
GFLOP_AN_IMAGE = 1.164  # A multiplication and an addition are two.
ROOF, DRAWN = "roof", "drawn"
MATMUL_SIDE, NUM_MATMULS = 4096, 5
PACKAGES = ("ai-edge-litert", "openvino", "torch", "torchvision")


def main() -> None:
    """Measures all ways in turn and prints what they took."""
    options = parse_options(__doc__)
    with (
        tempfile.TemporaryDirectory() as name,
        start_worker() as roof_worker,
    ):
        folder = Path(name)
        weights = str(folder / "drawn.weights.h5")
        with start_worker() as worker:
            worker.submit(save_random_weights, Path(weights)).result()
        commands = list_commands(weights)
        num_more = {
            name: options.shrink(NUM_MORE.get(name, DEFAULT_NUM_MORE))
            for name in commands
        }
        few = options.shrink(NUM_FEW)
        draw_pictures(folder / DRAWN, few + max(num_more.values()))
        for more in {0, *num_more.values()}:
            link_first(folder / DRAWN, few + more, folder / str(more))
        rounds = measure_in_turn(
            {
                name: functools.partial(
                    measure, command, folder, name, num_more[name]
                )
                for name, command in commands.items()
            }
            | {ROOF: lambda _: roof_worker.submit(measure_roof).result()},
            options.num_rounds,
        )
        report(rounds, compare(folder, list(commands)), options)


def measure(
    command: Command, folder: Path, name: str, num_more: int, number: int
) -> Values:
    """Returns the seconds of few and of many pictures, and the rate."""
    seconds = {}
    sizes = {"few": 0} if number == WARM_UP else {"few": 0, "many": num_more}
    for size, more in sizes.items():
        words = command(folder / str(more), folder / f"{name}-{size}")
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        seconds[size] = time.perf_counter() - began
    if number != WARM_UP:
        seconds["rate"] = num_more / (seconds["many"] - seconds["few"])
    return seconds


def measure_roof() -> Values:
    """Returns the images/s of a network that were nothing but matrices."""
    prepare_devices()
    import tensorflow as tf

    matrix = tf.random.stateless_normal((MATMUL_SIDE, MATMUL_SIDE), (0, 0))
    seconds = []
    for _ in range(NUM_MATMULS + 1):
        began = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        seconds.append(time.perf_counter() - began)
    rate = 2e-9 * MATMUL_SIDE**3 / statistics.median(seconds[1:])
    return {"gflops": rate, "rate": rate / GFLOP_AN_IMAGE}


def compare(folder: Path, names: list[str]) -> dict[str, float]:
    """Returns how far features are from Keras's, of the largest of those."""
    expected = np.load(folder / f"{PREDICT}-few.npy")
    scale = float(np.abs(expected).max())
    shares = {}
    for name in set(names) & set(ONE_VIEW_OURS):
        cache = open_cache(folder / f"{name}-few.h5")
        splits = [cache.take(Selection(split)) for split in ("train", "test")]
        features = np.concatenate([rows.features[:, 0] for rows in splits])
        shares[name] = float(np.abs(features - expected).max()) / scale
    return shares


def report(
    rounds: Rounds, agreement: dict[str, float], options: Options
) -> None:
    """Prints the table and the JSON line."""
    names = [name for name in rounds.values[0] if name != ROOF]
    rates = {n: Summary.of(rounds.of(n, "rate")) for n in [*names, ROOF]}
    ratios = {name: rounds.ratio(name, PREDICT, "rate") for name in names}
    shares = {
        name: rounds.ratio(name, ROOF, "rate")
        for name in names
        if name not in (BFLOAT16, FLIP)
    }
    rows = [["way", "images/s", "times predict", "of the roof", "off by"]]
    for name, rate in rates.items():
        ratio, share = ratios.get(name), shares.get(name)
        is_ours = name in agreement
        rows.append(
            [
                name,
                rate.format(1),
                ratio.format(2) if ratio else "",
                f"{share.median:.0%}" if share else "",
                f"{agreement[name]:.1e}" if is_ours else "",
            ]
        )
    print_table(
        f"MobileNetV2 1.4, 224 px, JPEG files to features, "
        f"{options.describe()} (min-max):",
        rows,
    )
    two_views = divide(rounds.of(ONE_VIEW, "rate"), rounds.of(FLIP, "rate"))
    gflops = Summary.of(rounds.of(ROOF, "gflops"))
    print(
        f"roof: {gflops.format(0)} GFLOP/s of float32 matmul over "
        f"{GFLOP_AN_IMAGE} GFLOP an image\n"
        f"two views of an image cost {two_views.format(2)} times one\n"
        f"off by: largest difference from predict, of its largest feature, "
        f"on {options.shrink(NUM_FEW)} pictures"
    )
    left_out = sorted({*OURS, *WAYS} - set(names))
    if left_out:
        print(f"left out, not being installed: {', '.join(left_out)}")
    print_result(
        "embed",
        {
            "rates": rates,
            "ratios": ratios,
            "shares_of_roof": shares,
            "roof_gflops": gflops,
            "two_views": two_views,
            "agreement": agreement,
            "left_out": left_out,
        },
        rounds,
        options,
        threads="all cores, each library by its own default",
        packages=PACKAGES,
    )


if __name__ == "__main__":
    main()
