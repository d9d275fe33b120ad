"""Training on a cache that is larger than memory, against one that is not.

Writes a cache of the size of Oxford-IIIT Pet's, sorted by class, and trains
the reference recipe on it from memory and streamed at a limit of a quarter of
its size: once from the page cache, once with the file thrown out of it before
every epoch, as it is where the file is larger than memory. Every repeat has a
seed of its own. Prints a table and one JSON line; the figures to quote are the
ratio of the times and the difference of the accuracies.
"""

import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from embed.backbones import BackboneRequest
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.console import Console
from embed.devices import prepare_devices
from embed.provenance import Provenance
from embed.provenance import now
from embed.rows import DIGEST_BYTES
from embed.sources import SourceRequest
from embed.spec import CacheSpec
from embed.spec import SplitSpec
from embed.spec import digest_rows
from embed.storage.writer import FeatureRows
from embed.storage.writer import SplitContent
from embed.storage.writer import write_cache
from embed.stream import choose_reader
from head.refit import take_train_and_val
from head.spec import HeadSpec
from head.train import train_head

NUM_IMAGES, NUM_VIEWS, FEATURE_DIM = 3680, 2, 1792  # Oxford-IIIT Pet, 1.4.
NUM_CLASSES = 37
NOISE = (
    2.3  # In units of the spread of the classes: some nine in ten are right.
)
PIECE_ROWS = 256  # Drawn at a time.
NUM_REPEATS = 5  # Alternating, after one of each to warm up.
LIMIT_SHARE = 1 / 4  # Of the features, as the memory limit of a stream.
SPEC = HeadSpec()


@dataclasses.dataclass
class Measured:
    """What the trainings of one way took, and how good they were.

    Args:
        seconds: Median of the epochs of a training, the first one left out,
            which compiles.
        accuracies: On held-out images.
    """

    seconds: list[float] = dataclasses.field(default_factory=list)
    accuracies: list[float] = dataclasses.field(default_factory=list)


def main() -> None:
    """Measures all ways in turn and prints what they took."""
    with tempfile.TemporaryDirectory() as folder:
        cache = draw_cache(Path(folder) / "drawn.h5")
        vector_bytes = FEATURE_DIM * np.dtype(np.float32).itemsize
        size = NUM_IMAGES * NUM_VIEWS * vector_bytes
        limit = int(size * LIMIT_SHARE)
        ways: dict[str, tuple[int, Callable[[], None]]] = {
            "in memory": (size, lambda: None),
            "streamed": (limit, lambda: None),
            "streamed, cold": (limit, lambda: evict(cache.path)),
        }
        measured = {name: Measured() for name in ways}
        for repeat in range(NUM_REPEATS + 1):
            for name, (memory_limit, prepare) in ways.items():
                seconds, accuracy = train(cache, memory_limit, repeat, prepare)
                if repeat:
                    measured[name].seconds.append(seconds)
                    measured[name].accuracies.append(accuracy)
    report(measured)


def report(measured: dict[str, Measured]) -> None:
    """Prints the table and the JSON line."""
    held = measured["in memory"]
    print(f"{'way':<16}{'s an epoch':>11}{'min':>8}{'max':>8}{'accuracy':>10}")
    for name, way in measured.items():
        print(
            f"{name:<16}{statistics.median(way.seconds):>11.3f}"
            f"{min(way.seconds):>8.3f}{max(way.seconds):>8.3f}"
            f"{statistics.mean(way.accuracies):>10.2%}"
        )
    ratios, differences = {}, {}
    for name, way in measured.items():
        ratios[name] = statistics.median(
            streamed / in_memory
            for streamed, in_memory in zip(
                way.seconds, held.seconds, strict=True
            )
        )
        differences[name] = statistics.mean(
            streamed - in_memory
            for streamed, in_memory in zip(
                way.accuracies, held.accuracies, strict=True
            )
        )
    for name in list(measured)[1:]:
        print(
            f"{name}: ratio {ratios[name]:.2f}, accuracy "
            f"{100 * differences[name]:+.2f} points over {NUM_REPEATS} seeds"
        )
    print(
        json.dumps(
            {
                "benchmark": "streaming",
                "ratio": ratios["streamed"],
                "ratios": ratios,
                "accuracy_differences": differences,
                "seconds": {n: way.seconds for n, way in measured.items()},
                "accuracies": {n: w.accuracies for n, w in measured.items()},
                "machine": platform.processor() or platform.machine(),
                "devices": prepare_devices().describe(),
                "keras": keras.__version__,
            }
        )
    )


def train(
    cache: FeatureCache,
    memory_limit: int,
    seed: int,
    prepare: Callable[[], None],
) -> tuple[float, float]:
    """Trains the reference recipe, watched by the validation images.

    Args:
        cache: What to train on.
        memory_limit: Bytes that features may take.
        seed: Of the training.
        prepare: Called before each epoch but the first.

    Returns:
        Median seconds of an epoch, and the last validation accuracy.
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
        seed=seed,
        on_epoch=measure_epoch,
    )
    accuracy = trained.history["val_accuracy"][-1]
    return statistics.median(seconds[1:]), accuracy


def evict(path: Path) -> None:
    """Throws a file out of the page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def draw_cache(path: Path) -> FeatureCache:
    """Writes a cache of one cloud of points a class, one after the other."""
    labels = np.arange(NUM_IMAGES, dtype=np.int32) * NUM_CLASSES // NUM_IMAGES
    image_ids = tuple(f"{number}.jpg" for number in range(NUM_IMAGES))
    content = SplitContent(image_ids, labels, lambda: draw_rows(labels))
    split = SplitSpec(
        num_images=NUM_IMAGES, digest=digest_rows(list(image_ids), labels)
    )
    write_cache(
        path,
        spec=CacheSpec(
            dataset="tfds:drawn",
            dataset_version="1.0.0",
            class_names=tuple(f"class {n:02}" for n in range(NUM_CLASSES)),
            splits={"train": split},
            backbone="keras:MobileNetV2?alpha=1.4",
            weights_digest="0" * 64,
            image_size=(224, 224),
            views=("plain", "flip"),
        ),
        provenance=Provenance(
            source=SourceRequest(dataset="tfds:drawn"),
            backbone=BackboneRequest(
                handle="keras:MobileNetV2?alpha=1.4", image_size=(224, 224)
            ),
            engine="tensorflow",
            max_pixels=1,
            created=now(),
            host=platform.node(),
            devices=prepare_devices().describe(),
            versions={},
            seconds={},
        ),
        feature_dim=FEATURE_DIM,
        splits={"train": content},
    )
    return open_cache(path)


def draw_rows(labels: np.ndarray) -> Iterator[FeatureRows]:
    """Yields the features of all images, seeded."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((NUM_CLASSES, FEATURE_DIM), np.float32)
    for start in range(0, len(labels), PIECE_ROWS):
        of_piece = labels[start : start + PIECE_ROWS]
        shape = len(of_piece), NUM_VIEWS, FEATURE_DIM
        noise = NOISE * rng.standard_normal(shape, np.float32)
        yield FeatureRows(
            features=np.abs(centres[of_piece][:, np.newaxis] + noise),
            content_digests=np.zeros((len(of_piece), DIGEST_BYTES), np.uint8),
            is_oriented=np.zeros(len(of_piece), np.bool_),
        )


if __name__ == "__main__":
    main()
