"""What names and rows cost besides the backbone: time, and memory.

Opens 100,000 pictures of 8 x 8 pixels as files and in 20 tar shards, as the
driver and each worker of a build do, in a process of its own each; and builds
a cache of these and of a tenth of them with a network of one layer and 1,792
features. The figures to quote are the pictures listed a second; the bytes of
memory a picture, of the index, which each worker holds, and at the peak of a
build, which a driver holds; and the bytes of the cache that are assembled a
second.
"""

import functools
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import WARM_UP
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import Values
from benchmarks.measure import measure_in_turn
from benchmarks.measure import parse_options
from benchmarks.measure import print_result
from benchmarks.measure import print_table
from benchmarks.measure import start_worker
from embed.devices import prepare_devices

NUM_PICTURES = 100_000
FEWER = 10  # Of so many one is in the smaller build.
NUM_CLASSES = 1_000
NUM_SHARDS = 20
TEST_EVERY = 5  # One picture in so many goes to the test split.
IMAGE_SIDE = 8  # Pixels.
NUM_FEATURES = 1_792  # As of MobileNetV2 1.4.
MOST_LINKS = 10_000  # Names of a file: file systems limit them.
BUILD = "build"
RATE, BYTES = "pictures_a_second", "bytes_a_picture"
ASSEMBLED = "megabytes_assembled_a_second"
BYTES_PER_MB = 1_000_000
STATUS = Path("/proc/self/statm")  # Linux.


def main() -> None:
    """Measures sources and builds in turn and prints what they cost."""
    options = parse_options(__doc__)
    count = options.shrink(NUM_PICTURES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_files(folder / "files", count, folder / "drawn")
        draw_files(folder / "fewer", count // FEWER, folder / "drawn-fewer")
        draw_shards(folder / "shards", folder / "files")
        model_path = folder / "tiny.keras"
        with start_worker() as worker:
            worker.submit(save_model, model_path).result()
        ways = {
            way: functools.partial(run_open, dataset)
            for way, dataset in {
                "files": f"folder:{folder / 'files'}",
                "shards": f"wds:{folder / 'shards'}",
            }.items()
        }
        rounds = measure_in_turn(
            ways | {BUILD: functools.partial(run_builds, folder, model_path)},
            options.num_rounds,
        )
    report(rounds, count, options)


def run_open(dataset: str, _: int) -> Values:
    """Opens a source in a process of its own."""
    with start_worker() as worker:
        return worker.submit(measure_open, dataset).result()


def measure_open(dataset: str) -> Values:
    """Opens a source in this process."""
    from embed.sources import SourceRequest
    from embed.sources import open_source

    memory, began = read_memory(), time.perf_counter()
    source = open_source(SourceRequest(dataset=dataset))
    seconds = time.perf_counter() - began
    num_images = sum(len(split.labels) for split in source.splits.values())
    return {
        RATE: num_images / seconds,
        BYTES: (read_memory() - memory) / num_images,
    }


def run_builds(folder: Path, model_path: Path, number: int) -> Values:
    """Builds two caches, each in a process of its own."""
    found = {}
    for name in ("fewer", "files")[: 1 if number == WARM_UP else 2]:
        with start_worker() as worker:
            found[name] = worker.submit(
                measure_build, folder, name, model_path
            ).result()
    if number == WARM_UP:
        return {}
    count, peak, seconds, num_bytes = (
        found["files"][quantity] - found["fewer"][quantity]
        for quantity in ("count", "peak", "others", "bytes")
    )
    return {
        RATE: found["files"]["rate"],
        BYTES: peak / count,
        ASSEMBLED: num_bytes / BYTES_PER_MB / seconds,
    }


def measure_build(folder: Path, name: str, model_path: Path) -> Values:
    """Builds a cache in this process, and returns the peak of its memory."""
    from embed.backbones import BackboneRequest
    from embed.building.request import BuildRequest
    from embed.extract import build_cache
    from embed.sources import SourceRequest

    result = build_cache(
        BuildRequest(
            source=SourceRequest(dataset=f"folder:{folder / name}"),
            backbone=BackboneRequest(handle=f"model:{model_path}"),
            views=("plain",),
            engine="tensorflow",
        ),
        artifacts_dir=folder / "artifacts",
        cache_path=folder / f"{name}.h5",
        is_overwrite=True,
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "count": float(sum(result.cache.num_images.values())),
        "peak": usage.ru_maxrss * 1_024.0,  # Of kilobytes, on Linux.
        "rate": result.views_per_second,
        "others": result.seconds["total"] - result.seconds["pass"],
        "bytes": float(result.cache.path.stat().st_size),
    }


def save_model(path: Path) -> None:
    """Saves a network of one layer in front of its classes."""
    prepare_devices()
    import keras

    side = IMAGE_SIDE
    keras.Sequential(
        [
            keras.Input((side, side, 3)),
            keras.layers.Conv2D(NUM_FEATURES, side, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    ).save(path)


def read_memory() -> int:
    """Returns the bytes of memory that this process has now."""
    pages = int(STATUS.read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def draw_files(folder: Path, num_pictures: int, drawn: Path) -> None:
    """Makes many names of few pictures, a folder a class."""
    rng = np.random.default_rng(0)
    drawn.mkdir()
    for number in range(num_pictures):
        source = drawn / f"{number // MOST_LINKS}.jpg"
        if not source.exists():
            pixels = rng.integers(0, 256, (IMAGE_SIDE, IMAGE_SIDE, 3), np.uint8)
            Image.fromarray(pixels).save(source)
        split = "train" if number % TEST_EVERY else "test"
        label = number // TEST_EVERY % NUM_CLASSES
        path = folder / split / f"class-{label:04}" / f"{number:09}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, path)


def draw_shards(folder: Path, files: Path) -> None:
    """Packs the pictures of a folder into shards, with their classes."""
    folder.mkdir()
    for split, num_shards in {
        "test": NUM_SHARDS // TEST_EVERY,
        "train": NUM_SHARDS - NUM_SHARDS // TEST_EVERY,
    }.items():
        paths = sorted((files / split).glob("*/*.jpg"))
        for shard in range(num_shards):
            target = folder / f"{split}-{shard:06}.tar"
            # In WebDataset's format. Names of one file would be links
            # otherwise, which are passed over.
            with tarfile.open(
                target, "w", format=tarfile.USTAR_FORMAT, dereference=True
            ) as tar:
                for path in paths[shard::num_shards]:
                    for name in _members(path, folder):
                        tar.add(name, f"{path.stem}{name.suffix}")


def _members(path: Path, folder: Path) -> Iterator[Path]:
    """Yields the picture and a file with its class."""
    label = folder.with_name(f"{path.parent.name}.cls")
    if not label.exists():
        label.write_text(path.parent.name, "utf-8")
    yield from (path, label)


def report(rounds: Rounds, num_pictures: int, options: Options) -> None:
    """Prints the table and the JSON line."""
    rows = [["what", "pictures/s", "bytes a picture"]]
    figures = {}
    for way in rounds.values[0]:
        figures[way] = {
            quantity: Summary.of(rounds.of(way, quantity))
            for quantity in (RATE, BYTES)
        }
        cells = [summary.format(0) for summary in figures[way].values()]
        rows.append([way, *cells])
    print_table(
        f"{num_pictures:,} pictures of {IMAGE_SIDE} px, {options.describe()} "
        "(min-max):",
        rows,
    )
    assembled = Summary.of(rounds.of(BUILD, ASSEMBLED))
    print(
        "files, shards: listed a second, and the memory of the index\n"
        "build: embedded a second by one layer, and the memory at the peak; "
        f"listed, planned and assembled at {assembled.format(0)} MB of the "
        "cache a second"
    )
    print_result(
        "listing",
        {
            "figures": figures,
            "assembled": assembled,
            "num_pictures": num_pictures,
        },
        rounds,
        options,
        threads="listing: one; build: all cores",
    )


if __name__ == "__main__":
    main()
