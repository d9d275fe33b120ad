"""What a build and a training cost by the number of images: nothing may grow.

Builds caches of 500 to 8,000 drawn pictures, plain and mirrored, with
MobileNetV2 at 96 px, each in a process of its own whose peak memory the system
tells, and trains a head on each. The figures to quote are the time per image
of the pass at 8,000 against 1,000, and the largest peak against the smallest.
"""

import functools
import itertools
import resource
import statistics
import tempfile
import time
from pathlib import Path

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

COUNTS = (500, 1_000, 2_000, 4_000, 8_000)
QUOTED = (1, 4)  # Places of the counts whose times are compared.
IMAGE_SIDE = 96  # Pixels, as the backbone sees them: quick.
ENGINE = "litert"  # Whatever a trial of a second would say.
EPOCHS = 10
KILOBYTES_PER_MB = 1_000
MICROSECONDS = 1e6
PASS, EPOCH, PEAK = "pass_us_an_image", "epoch_us_an_image", "peak_mb"


def main() -> None:
    """Measures all counts in turn and prints what they took."""
    options = parse_options(__doc__)
    counts = [options.shrink(count) for count in COUNTS]
    with tempfile.TemporaryDirectory() as name, start_worker() as trainer:
        folder = Path(name)
        draw_pictures(folder / "drawn", counts[-1])
        for count in counts:
            link_first(folder / "drawn", count, folder / f"{count}")

        def run(count: int, number: int) -> Values:
            if number == WARM_UP:  # Reads libraries; that is all it can do.
                count = counts[0]
            with start_worker() as builder:
                built = builder.submit(build, folder, count).result()
            return built | trainer.submit(train, folder, count).result()

        rounds = measure_in_turn(
            {f"{count}": functools.partial(run, count) for count in counts},
            options.num_rounds,
        )
    report(rounds, options)


def report(rounds: Rounds, options: Options) -> None:
    """Prints the table and the JSON line."""
    rows = [["images", "pass us/image", "training us/image, epoch", "peak MB"]]
    peaks = {}
    names = list(rounds.values[0])
    for name in names:
        peaks[name] = Summary.of(rounds.of(name, PEAK))
        times = [
            Summary.of(rounds.of(name, quantity)).format(digits)
            for quantity, digits in ((PASS, 0), (EPOCH, 1))
        ]
        rows.append([f"{int(name):,}", *times, peaks[name].format(0)])
    print_table(
        f"MobileNetV2 at {IMAGE_SIDE} px, both views, {options.describe()} "
        "(min-max):",
        rows,
    )
    below, above = (names[place] for place in QUOTED)
    of_pass = rounds.ratio(above, below, PASS)
    of_epoch = rounds.ratio(above, below, EPOCH)
    of_peak = divide(
        [max(way[PEAK] for way in of.values()) for of in rounds.values],
        [min(way[PEAK] for way in of.values()) for of in rounds.values],
    )
    print(
        f"{int(above):,} images against {int(below):,}: time per image "
        f"{of_pass.format(3)} in the pass, {of_epoch.format(3)} in training; "
        f"largest peak against smallest: {of_peak.format(3)}"
    )
    print_result(
        "growth",
        {
            "pass_ratio": of_pass,
            "epoch_ratio": of_epoch,
            "peak_ratio": of_peak,
            "peak_mb": peaks,
            "engine": ENGINE,
        },
        rounds,
        options,
        threads="pass: all cores; training: one",
        packages=["ai-edge-litert"],
    )


def build(folder: Path, count: int) -> Values:
    """Builds the cache and returns what that took of this process."""
    from embed.backbones import BackboneRequest
    from embed.building.request import BuildRequest
    from embed.extract import build_cache
    from embed.sources import SourceRequest

    result = build_cache(
        BuildRequest(
            source=SourceRequest(dataset=f"folder:{folder / str(count)}"),
            backbone=BackboneRequest(
                handle="keras:MobileNetV2",
                weights="random",
                image_size=(IMAGE_SIDE, IMAGE_SIDE),
            ),
            engine=ENGINE,
        ),
        artifacts_dir=folder / "artifacts",
        cache_path=folder / f"{count}.h5",
        is_overwrite=True,
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        PASS: MICROSECONDS * result.seconds["pass"] / count,
        PEAK: usage.ru_maxrss / KILOBYTES_PER_MB,
    }


def train(folder: Path, count: int) -> Values:
    """Trains the reference recipe for some epochs on the cache."""
    from embed.cache import open_cache
    from embed.splits import Selection
    from head.spec import HeadSpec
    from head.training.train import prepare_threads
    from head.training.train import train_head

    cache = open_cache(folder / f"{count}.h5")
    num_classes = len(cache.spec.class_names)
    prepare_threads(feature_dim=cache.feature_dim, num_classes=num_classes)
    rows = cache.take(Selection("train"))
    ends: list[float] = []
    train_head(
        HeadSpec(epochs=EPOCHS + 1),
        train=rows,
        val=None,
        num_classes=num_classes,
        seed=0,
        on_epoch=lambda _: ends.append(time.perf_counter()),
    )
    # The first epoch, which compiles, ends where the first interval begins.
    seconds = [end - begin for begin, end in itertools.pairwise(ends)]
    median = statistics.median(seconds)
    return {EPOCH: MICROSECONDS * median / len(rows)}


if __name__ == "__main__":
    main()
