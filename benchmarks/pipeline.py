"""From JPEG files to trained and judged heads: ours against `Model.fit`.

The reference trains the head through the frozen backbone, from files, with
mirrors drawn by `tf.data`, for 30 epochs, and evaluates it on the test part:
one epoch is measured and multiplied by 30. Ours embeds each image and its
mirror once, and then trains and evaluates on features. Both load the backbone
once, whatever the number of trainings; processes are started before. The
figures to quote are the ratios for 1, 10 and 100 trainings.
"""

import functools
import tempfile
from collections.abc import Callable
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

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
from benchmarks.stages import EACH
from benchmarks.stages import EPOCH
from benchmarks.stages import ONCE
from benchmarks.stages import PICTURES
from benchmarks.stages import SPEC
from benchmarks.stages import Precision
from benchmarks.stages import build
from benchmarks.stages import cache_of
from benchmarks.stages import run_reference
from benchmarks.stages import train
from benchmarks.stages import weights_of
from benchmarks.with_keras import save_random_weights
from embed.cache import open_cache

# 1,024 to train on: of half as many the loading of the backbone would be a
# quarter of ours, of the 7,349 of Oxford-IIIT Pet it is a thirtieth.
NUM_PICTURES = 1_280
NUM_TRAININGS = (1, 10, 100)  # One head, a small search, a large one.
REFERENCE = "Model.fit"
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
PACKAGES = ("ai-edge-litert", "openvino")


def main() -> None:
    """Measures all ways in turn and prints what they took."""
    options = parse_options(__doc__)
    count = options.shrink(NUM_PICTURES)
    with (
        tempfile.TemporaryDirectory() as name,
        start_worker() as reference,
        start_worker() as embedder,
        start_worker() as trainer,
    ):
        folder = Path(name)
        draw_pictures(folder / PICTURES, count)
        with start_worker() as drawer:
            drawer.submit(
                save_random_weights, Path(weights_of(folder))
            ).result()
        ways: dict[str, Callable[[int], Values]] = {
            REFERENCE: lambda _: reference.submit(
                run_reference, folder
            ).result()
        }
        for precision in PRECISIONS:
            ways[precision] = functools.partial(
                run_ours, embedder, trainer, folder, precision
            )
        rounds = measure_in_turn(ways, options.num_rounds)
        engines = {
            precision: open_cache(cache_of(folder, precision)).provenance.engine
            for precision in PRECISIONS
        }
    report(rounds, engines, count, options)


def report(
    rounds: Rounds,
    engines: Mapping[Precision, str],
    num_images: int,
    options: Options,
) -> None:
    """Prints the table and the JSON line."""
    counts = [f"{count}" for count in NUM_TRAININGS]
    rows = [["way", "once s", "a training s", *counts]]
    ratios: dict[str, dict[str, Summary]] = {}
    names = {REFERENCE: REFERENCE}
    names |= {way: f"{way} ({engine})" for way, engine in engines.items()}
    for way, name in names.items():
        cells = [
            Summary.of(rounds.of(way, quantity)).format(digits)
            for quantity, digits in ((ONCE, 1), (EACH, 2))
        ]
        totals = [Summary.of(take_all(rounds, way, n)) for n in NUM_TRAININGS]
        cells += [f"{total.median:,.0f} s" for total in totals]
        rows.append([name, *cells])
    for way in PRECISIONS:
        ratios[way] = {
            f"{count}": divide(
                take_all(rounds, REFERENCE, count), take_all(rounds, way, count)
            )
            for count in NUM_TRAININGS
        }
        times = [ratio.format(1) for ratio in ratios[way].values()]
        rows.append([f"times less, {way}", "", "", *times])
    print_table(
        f"{num_images} JPEG files, four fifths to train on, {SPEC.epochs} "
        f"epochs, by the number of trainings, {options.describe()} (min-max):",
        rows,
    )
    epoch = Summary.of(rounds.of(REFERENCE, EPOCH))
    print(
        f"{REFERENCE}: one epoch through the backbone was measured, "
        f"{epoch.format(1)} s, and multiplied by {SPEC.epochs}"
    )
    print_result(
        "pipeline",
        {"ratios": ratios, "engines": engines, "num_images": num_images},
        rounds,
        options,
        threads="heads: one; all else: all cores",
        packages=PACKAGES,
    )


def take_all(rounds: Rounds, way: str, num_trainings: int) -> list[float]:
    """Returns the seconds of so many trainings, round by round."""
    return [
        once + num_trainings * each
        for once, each in zip(
            rounds.of(way, ONCE), rounds.of(way, EACH), strict=True
        )
    ]


def run_ours(
    embedder: ProcessPoolExecutor,
    trainer: ProcessPoolExecutor,
    folder: Path,
    precision: Precision,
    _: int,
) -> Values:
    """Builds the cache and trains a head, as two commands do."""
    built = embedder.submit(build, folder, precision).result()
    return built | trainer.submit(train, folder, precision).result()


if __name__ == "__main__":
    main()
