"""Training on a cache that is larger than memory, against one that is not.

Writes a cache of the size of Oxford-IIIT Pet's, sorted by class, and trains
the reference recipe on it from memory and streamed at a limit of a quarter of
its size: once from the page cache, once with the file thrown out of it before
every epoch, as it is where the file is larger than memory. Round `n` has seed
`n`. The figures to quote are the ratios of the times and the differences of
the accuracies.
"""

import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.features import FEATURE_DIM
from benchmarks.features import NUM_CLASSES
from benchmarks.features import NUM_TRAIN
from benchmarks.features import NUM_VIEWS
from benchmarks.features import draw_cache
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import Values
from benchmarks.measure import measure_in_turn
from benchmarks.measure import parse_options
from benchmarks.measure import print_result
from benchmarks.measure import print_table
from embed.cache import FeatureCache
from embed.console import Console
from embed.stream import choose_reader
from head.refit import take_train_and_val
from head.spec import HeadSpec
from head.training.train import prepare_threads
from head.training.train import train_head

LIMIT_SHARE = 1 / 4  # Of the features, as the memory limit of a stream.
LEAST_TRAIN = 1_000  # The share of fewer has no room for a batch.
HELD, STREAMED, COLD = "in memory", "streamed", "streamed, cold"
SPEC = HeadSpec()


def main() -> None:
    """Measures all ways in turn and prints what they took."""
    options = parse_options(__doc__)
    prepare_threads(feature_dim=FEATURE_DIM, num_classes=NUM_CLASSES)
    count = max(options.shrink(NUM_TRAIN), LEAST_TRAIN)
    with tempfile.TemporaryDirectory() as folder:
        cache = draw_cache(Path(folder) / "drawn.h5", count)
        vector_bytes = FEATURE_DIM * np.dtype(np.float32).itemsize
        size = count * NUM_VIEWS * vector_bytes
        limit = int(size * LIMIT_SHARE)
        rounds = measure_in_turn(
            {
                HELD: functools.partial(train, cache, size, do_nothing),
                STREAMED: functools.partial(train, cache, limit, do_nothing),
                COLD: functools.partial(
                    train, cache, limit, lambda: evict(cache.path)
                ),
            },
            options.num_rounds,
        )
    report(rounds, count, options)


def report(rounds: Rounds, num_images: int, options: Options) -> None:
    """Prints the table and the JSON line."""
    ratios, differences = {}, {}
    held = statistics.mean(rounds.of(HELD, "accuracy"))
    rows = [["way", "s an epoch", "times in memory", "accuracy %", "points"]]
    for name in rounds.values[0]:
        accuracy = statistics.mean(rounds.of(name, "accuracy"))
        ratios[name] = rounds.ratio(name, HELD, "seconds")
        differences[name] = 100 * (accuracy - held)
        rows.append(
            [
                name,
                Summary.of(rounds.of(name, "seconds")).format(3),
                ratios[name].format(2),
                f"{100 * accuracy:.2f}",
                f"{differences[name]:+.2f}",
            ]
        )
    print_table(
        f"A head on {num_images:,} x {NUM_VIEWS} x {FEATURE_DIM} features at "
        f"a memory limit of {LIMIT_SHARE:.0%} of them, {options.describe()} "
        "(min-max), accuracies their mean:",
        rows,
    )
    print_result(
        "streaming",
        {"ratios": ratios, "accuracy_differences": differences},
        rounds,
        options,
        threads="one, and one that reads",
    )


def train(
    cache: FeatureCache,
    memory_limit: int,
    prepare: Callable[[], None],
    number: int,
) -> Values:
    """Trains the reference recipe, watched by the validation images.

    Args:
        cache: What to train on.
        memory_limit: Bytes that features may take.
        prepare: Called before each epoch but the first.
        number: Of the round, and the seed.

    Returns:
        Median seconds of the epochs but the first, which compiles, and the
        last validation accuracy.
    """
    read = choose_reader(cache, memory_limit, Console(is_quiet=True))
    train_rows, val_rows = take_train_and_val(cache, read)
    seconds, began = [], time.perf_counter()

    def measure_epoch(metrics: dict[str, float]) -> None:
        nonlocal began
        seconds.append(time.perf_counter() - began)
        prepare()
        began = time.perf_counter()

    trained = train_head(
        SPEC,
        train=train_rows,
        val=val_rows,
        num_classes=NUM_CLASSES,
        seed=max(number, 0),
        on_epoch=measure_epoch,
    )
    return {
        "seconds": statistics.median(seconds[1:]),
        "accuracy": trained.history["val_accuracy"][-1],
    }


def do_nothing() -> None:
    """Leaves the file in the page cache."""


def evict(path: Path) -> None:
    """Throws a file out of the page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
