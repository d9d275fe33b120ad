"""What a million rows take: memory and time, in one file and in parts.

Writes drawn features as the blocks that a build leaves, as if every picture
had been embedded, and has them assembled into a cache of one file and into one
of parts. Both are verified, and a head is trained for one epoch on each,
streamed at a memory limit below its size. Each step is a process of its own
whose peak memory is read by another. The figure to quote is the largest peak:
a table row that grows with the features would be a fault.

It takes 16 GB of disk and five minutes, and is no part of `make bench`:

    python -m benchmarks.rows --folder /a/disk/with/room
"""

import argparse
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.machine import list_versions
from benchmarks.measure import SMALL_DIVISOR
from benchmarks.measure import print_table
from benchmarks.measure import start_worker
from embed.building.blocks import Block
from embed.building.blocks import list_blocks
from embed.building.blocks import write_block
from embed.rows import DIGEST_BYTES
from embed.sources import Picture
from embed.sources.source import Source
from embed.sources.source import SplitIndex
from embed.startup import LOG_LEVEL_FATAL
from embed.startup import LOG_LEVEL_VARIABLE

NUM_ROWS, NUM_TEST = 1_000_000, 20_000  # Of both splits, and of one.
FEATURE_DIM, NUM_CLASSES = 1_280, 100  # MobileNetV2's; one view.
NUM_PARTS = 10  # About.
LIMIT_SHARE = 1 / 5  # Of the features, as the memory limit of the training.
STAMP = (10_000, 10**18, 10**18)  # Size and times of a picture long ago.
BYTES_PER_MB, KILOBYTES_PER_MB = 1e6, 1e3
ONE, PARTS = "one file", "in parts"
Facts = dict[str, float]


def main() -> None:
    """Runs all steps, one after the other, and prints what they took."""
    os.environ.setdefault(LOG_LEVEL_VARIABLE, LOG_LEVEL_FATAL)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="where files go; default: where all do"
    )
    parser.add_argument(
        "--small", action="store_true", help="an eighth of all rows"
    )
    options = parser.parse_args()
    num_rows = NUM_ROWS // (SMALL_DIVISOR if options.small else 1)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        steps = {"write blocks": run(write_blocks, folder, num_rows)}
        for way in (ONE, PARTS):
            # The build removes its blocks: links let two have the same.
            path = folder / f"{way}.h5"
            blocks = path.with_name(f"{path.name}.building")
            shutil.copytree(folder / "blocks", blocks, copy_function=os.link)
            steps[f"assemble, {way}"] = run(assemble, path, num_rows)
            steps[f"verify, {way}"] = run(verify, path)
            steps[f"train an epoch, {way}"] = run(train, path)
        steps["compare them"] = run(compare, folder)
    report(steps, num_rows, is_small=options.small)


def report(steps: dict[str, Facts], num_rows: int, *, is_small: bool) -> None:
    """Prints the table and the JSON line."""
    size = num_rows * FEATURE_DIM * np.dtype(np.float32).itemsize
    rows = [["step", "seconds", "MB/s of features", "peak MB"]]
    for name, facts in steps.items():
        rate = size / BYTES_PER_MB / facts["seconds"]
        rows.append(
            [
                name,
                f"{facts['seconds']:,.1f}",
                f"{rate:,.0f}",
                f"{facts['peak_mb']:,.0f}",
            ]
        )
    tried = "TRIED OUT, no figures to quote: " if is_small else ""
    print_table(
        f"{tried}{num_rows:,} rows x 1 view x {FEATURE_DIM:,} features, "
        f"float32, {size / BYTES_PER_MB:,.0f} MB, each step once, start-up "
        "included in peaks alone:",
        rows,
    )
    result = {
        "benchmark": "rows",
        "largest_peak_mb": max(facts["peak_mb"] for facts in steps.values()),
        "num_rows": num_rows,
        "feature_mb": size / BYTES_PER_MB,
        "is_small": is_small,
        "steps": steps,
        "machine": describe_machine(),
        "versions": list_versions(["h5py"]),
    }
    print(json.dumps(result), flush=True)


def run(step: Callable[..., Facts], *arguments: object) -> Facts:
    """Runs a step in a process of its own and returns what it took."""
    with start_worker() as worker:
        process_id = worker.submit(os.getpid).result()
        facts = worker.submit(step, *arguments).result()
        status = Path(f"/proc/{process_id}/status").read_text("utf-8")
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if peak is None:
        raise RuntimeError("The system does not tell the peak of a process.")
    return facts | {"peak_mb": int(peak[1]) / KILOBYTES_PER_MB}


class DrawnSource(Source):
    """Pictures that nobody has to read, since all rows are known."""

    def __init__(self, num_rows: int) -> None:
        counts = {"train": num_rows - NUM_TEST, "test": NUM_TEST}
        super().__init__(
            name="tfds:drawn",
            version="1.0.0",
            class_names=[f"class {number:03}" for number in range(NUM_CLASSES)],
            splits={
                split: SplitIndex(
                    tuple(f"{split}/{row:09}.jpg" for row in range(count)),
                    np.arange(count, dtype=np.int32) % NUM_CLASSES,
                )
                for split, count in counts.items()
            },
        )

    def read(self, split: str, rows: Sequence[int]) -> Iterator[Picture]:
        """Refuses: a picture that is read is a row that was not known."""
        raise AssertionError(f"{len(rows)} pictures of {split} were read.")

    def stamps(self, split: str) -> np.ndarray:
        """Returns the stamps that the blocks have."""
        return np.tile(STAMP, (len(self.splits[split].labels), 1))


def write_blocks(folder: Path, num_rows: int) -> Facts:
    """Writes the blocks of a build that has computed all of its rows."""
    source = DrawnSource(num_rows)
    began = time.perf_counter()
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((NUM_CLASSES, 1, FEATURE_DIM), np.float32)
    counts = {name: len(index.labels) for name, index in source.splits.items()}
    for key in list_blocks(counts):
        index = source.splits[key.split].take(np.array(key.rows))
        count = len(index.labels)
        noise = rng.standard_normal((count, 1, FEATURE_DIM), np.float32)
        ids = [image_id.encode() for image_id in index.image_ids]
        block = Block(
            image_ids=np.array(ids),
            features=centres[index.labels] + 4 * noise,
            content_digests=rng.integers(
                0, 256, (count, DIGEST_BYTES), np.uint8
            ),
            is_oriented=np.zeros(count, np.bool_),
            stamps=np.tile(STAMP, (count, 1)),
        )
        write_block(block, key.path_in(folder / "blocks"))
    return {"seconds": time.perf_counter() - began}


def assemble(path: Path, num_rows: int) -> Facts:
    """Lets a build find all rows in its blocks, and write the cache."""
    import keras

    from embed.backbones import Backbone
    from embed.backbones import BackboneRequest
    from embed.backbones.sized import SizedBackbones
    from embed.building.build import Build
    from embed.building.current import CurrentPictures
    from embed.building.request import BuildRequest
    from embed.building.request import create_spec
    from embed.console import Console
    from embed.sources import SourceRequest

    images = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    features = keras.layers.Dense(FEATURE_DIM)(pooled)
    backbone = Backbone(
        name="keras:Drawn",
        model=keras.Model(images, features),
        weights_digest="0" * 64,
    )
    size = num_rows * FEATURE_DIM * np.dtype(np.float32).itemsize
    request = BuildRequest(
        source=SourceRequest(dataset="tfds:drawn"),
        backbone=BackboneRequest(handle="keras:Drawn"),
        views=("plain",),
        max_file_bytes=size // NUM_PARTS if PARTS in path.name else 2 * size,
    )
    source, quiet = DrawnSource(num_rows), Console(is_quiet=True)
    began = time.perf_counter()
    cache = Build(
        request,
        create_spec(request, source, backbone),
        source,
        CurrentPictures(source, quiet),
        SizedBackbones(request.backbone, backbone),
        path,
        find_parents=list,
    ).finish(quiet)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "num_files": len(cache.files.list_sizes())}


def verify(path: Path) -> Facts:
    """Checks every byte of a cache."""
    from embed.console import Console
    from embed.upkeep.verify import verify_cache

    began = time.perf_counter()
    quiet = Console(is_quiet=True)
    verify_cache(path, num_sampled=0, console=quiet).require_ok()
    return {"seconds": time.perf_counter() - began}


def train(path: Path) -> Facts:
    """Trains the reference recipe for an epoch, streamed from the cache."""
    from embed.cache import open_cache
    from embed.console import Console
    from embed.stream import choose_reader
    from embed.stream import measure_rows
    from head.refit import take_train_and_val
    from head.spec import HeadSpec
    from head.training.train import prepare_threads
    from head.training.train import train_head

    prepare_threads(feature_dim=FEATURE_DIM, num_classes=NUM_CLASSES)
    cache = open_cache(path)
    size = measure_rows(cache, cache.num_images["train"])
    read = choose_reader(cache, int(LIMIT_SHARE * size), Console(is_quiet=True))
    began = time.perf_counter()
    train_rows, val_rows = take_train_and_val(cache, read)
    trained = train_head(
        HeadSpec(epochs=1),
        train=train_rows,
        val=val_rows,
        num_classes=NUM_CLASSES,
        seed=0,
    )
    return {
        "seconds": time.perf_counter() - began,
        "loss": trained.history["loss"][-1],
        "val_accuracy": trained.history["val_accuracy"][-1],
    }


def compare(folder: Path) -> Facts:
    """Finds both caches equal, down to the digest of every row."""
    from embed.cache import open_cache

    began = time.perf_counter()
    one, parts = (open_cache(folder / f"{way}.h5") for way in (ONE, PARTS))
    for split, count in one.num_images.items():
        rows = np.arange(count)
        if not np.array_equal(
            one.row_digests(split, rows), parts.row_digests(split, rows)
        ):
            raise AssertionError(f"Rows of {split} differ.")
    return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    main()
