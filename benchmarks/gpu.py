"""A GPU: both views of pictures on it, how busy it is, and rows of photos.

    python -m benchmarks.gpu --data-dir FOLDER

Embeds 8,192 drawn pictures with MobileNetV2 1.4 at 224 px, ours with both views
of each, `keras.Model.predict` with one; a view is a view. All ways run in one
process, whose first round warms up; ours is the rate of the pass, `predict` is
timed on few and on many pictures, so that start-up falls out of both. The
figure to quote is the ratio to `predict` on the same GPU.

Then Oxford-IIIT Pet, as TFDS prepared it in FOLDER, is embedded once on the GPU
in each precision, and once on the processor: how far rows are from those. It is
no part of `make bench`, as most machines have no GPU.
"""

import argparse
import dataclasses
import functools
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.alternatives import PREDICT
from benchmarks.gpu_meter import GpuMeter
from benchmarks.gpu_meter import describe_gpu
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.measure import Values
from benchmarks.measure import add_options
from benchmarks.measure import measure_in_turn
from benchmarks.measure import print_result
from benchmarks.measure import print_table
from benchmarks.measure import read_options
from benchmarks.measure import start_worker
from benchmarks.pictures import draw_pictures
from benchmarks.pictures import list_pictures
from benchmarks.with_keras import IMAGE_SIDE
from benchmarks.with_keras import request_backbone
from benchmarks.with_keras import run_predict
from benchmarks.with_keras import save_random_weights
from embed.building.agreement import compare
from embed.building.request import BuildRequest
from embed.cache import open_cache
from embed.devices import GPUS_VARIABLE
from embed.extract import build_cache
from embed.sources import SourceRequest
from embed.splits import Selection

NUM_FEW, NUM_MANY = 128, 8_192  # Pictures.
OURS = ("float32", "bfloat16")
WAYS = (*OURS, PREDICT)
PETS = "tfds:oxford_iiit_pet"
PROCESSOR = "the processor"
NO_GPU = "-1"  # Of CUDA_VISIBLE_DEVICES.


def main() -> None:
    """Measures all ways in turn, then embeds the photos, and prints both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="of TFDS, with its pets")
    add_options(parser)
    arguments = parser.parse_args()
    options = read_options(arguments)
    if not describe_gpu():
        raise SystemExit("There is no GPU here: nvidia-smi names none.")
    with tempfile.TemporaryDirectory() as name, start_worker() as worker:
        folder = Path(name)
        weights = str(folder / "drawn.weights.h5")
        worker.submit(save_random_weights, Path(weights)).result()
        draw_pictures(folder / "drawn", options.shrink(NUM_MANY))
        rounds = measure_in_turn(
            {
                way: functools.partial(measure, worker, way, folder, weights)
                for way in WAYS
            },
            options.num_rounds,
        )
        figures = report_rates(rounds, options)
        photos = {}
        if arguments.data_dir:
            source = SourceRequest(
                dataset=PETS, data_dir=str(arguments.data_dir)
            )
            photos = embed_photos(worker, source, folder, weights)
            report_photos(photos)
    print_result(
        "gpu",
        {"gpu": describe_gpu(), **figures, "photos": photos},
        rounds,
        options,
        threads="all cores, each library by its own default",
    )


def measure(
    worker: ProcessPoolExecutor, way: str, folder: Path, weights: str, _: int
) -> Values:
    """Returns views a second, and how busy the GPU was meanwhile."""
    if way == PREDICT:
        return worker.submit(predict, folder / "drawn", weights).result()
    source = SourceRequest(dataset=f"folder:{folder / 'drawn'}")
    path = folder / f"{way}.h5"
    built = worker.submit(build, source, path, weights, way).result()
    return built.to_values()


@dataclasses.dataclass(frozen=True)
class Built:
    """What a build took.

    Args:
        seconds: Of all of it, in a process that has its libraries.
        rate: Views a second of the pass.
        busy: Seconds in which the GPU computed, over those of the pass.
        gpu_mb: Most memory in use on it.
        seconds_by_stage: Of all threads, and of the pass.
        difference: Of the worst row from that of the processor, a share of the
            features' scale; in bfloat16 of their root mean square.
    """

    seconds: float
    rate: float
    busy: float
    gpu_mb: float
    seconds_by_stage: Mapping[str, float]
    difference: float = 0.0

    def to_values(self) -> Values:
        """Returns what a round keeps."""
        return {"rate": self.rate, "busy": self.busy, "gpu_mb": self.gpu_mb}


def build(
    source: SourceRequest, path: Path, weights: str, precision: str
) -> Built:
    """Embeds both views of all pictures, in this process."""
    request = BuildRequest(
        source=source,
        backbone=request_backbone(weights),
        views=("plain", "flip"),
        precision=precision,
    )
    with GpuMeter() as meter:
        result = build_cache(
            request,
            artifacts_dir=path.parent,
            cache_path=path,
            is_overwrite=True,
        )
    return Built(
        seconds=result.seconds["total"],
        rate=result.views_per_second,
        busy=meter.busy_seconds / result.seconds["pass"],
        gpu_mb=meter.peak_mb,
        seconds_by_stage=result.seconds,
    )


def predict(folder: Path, weights: str) -> Values:
    """Embeds one view of all pictures with Keras, in this process."""
    paths = [p for s in ("train", "test") for p in list_pictures(folder, s)[0]]
    seconds, busy, peak_mb = [], [], 0.0
    for count in (NUM_FEW, len(paths)):
        with GpuMeter() as meter:
            began = time.perf_counter()
            run_predict(paths[:count], weights)
            seconds.append(time.perf_counter() - began)
        busy.append(meter.busy_seconds)
        peak_mb = meter.peak_mb
    more = seconds[1] - seconds[0]
    return {
        "rate": (len(paths) - NUM_FEW) / more,
        "busy": (busy[1] - busy[0]) / more,
        "gpu_mb": peak_mb,
    }


def embed_photos(
    worker: ProcessPoolExecutor,
    source: SourceRequest,
    folder: Path,
    weights: str,
) -> dict[str, Built]:
    """Embeds the pets on the processor and on the GPU; compares rows."""
    builds: dict[str, Built] = {}
    with start_worker(hide_gpus) as apart:
        for way in (PROCESSOR, *OURS):
            path = folder / f"pets, {way}.h5"
            precision = "float32" if way == PROCESSOR else way
            able = apart if way == PROCESSOR else worker
            built = able.submit(build, source, path, weights, precision)
            builds[way] = built.result()
    features = {way: read_vectors(folder / f"pets, {way}.h5") for way in builds}
    for way in OURS:
        worst = compare(features[way], features[PROCESSOR], way).max()
        builds[way] = dataclasses.replace(builds[way], difference=float(worst))
    return builds


def hide_gpus() -> None:
    """Has this process, which has not imported TensorFlow, see no GPU."""
    os.environ[GPUS_VARIABLE] = NO_GPU


def read_vectors(path: Path) -> np.ndarray:
    """Returns all features of a cache, `(num_vectors, feature_dim)`."""
    cache = open_cache(path)
    splits = [cache.take(Selection(s)).features for s in cache.num_images]
    return np.concatenate(splits).reshape(-1, cache.feature_dim)


def report_rates(rounds: Rounds, options: Options) -> dict[str, Any]:
    """Prints the table of all ways; returns its figures."""
    ratios = {way: rounds.ratio(way, PREDICT, "rate") for way in WAYS}
    rates = {way: Summary.of(rounds.of(way, "rate")) for way in WAYS}
    busy = {
        way: Summary.of(100 * share for share in rounds.of(way, "busy"))
        for way in WAYS
    }
    rows = [["way", "views/s", "times predict", "GPU busy %", "GPU MB"]]
    for way in WAYS:
        megabytes = Summary.of(rounds.of(way, "gpu_mb"))
        figures = rates[way].format(0), ratios[way].format(2)
        rows.append([way, *figures, busy[way].format(0), megabytes.format(0)])
    print_table(
        f"MobileNetV2 1.4, {IMAGE_SIDE} px, JPEG files to features on "
        f"{describe_gpu()}, {options.describe()} (min-max):",
        rows,
    )
    sys.stdout.flush()  # The photos take a while.
    return {"rates": rates, "ratios": ratios, "busy_percent": busy}


def report_photos(photos: Mapping[str, Built]) -> None:
    """Prints the table of the photos."""
    rows = [["photos, both views", "views/s", "GPU busy %", "s", "off by"]]
    for way, built in photos.items():
        rows.append(
            [
                way,
                f"{built.rate:,.0f}",
                f"{100 * built.busy:.0f}",
                f"{built.seconds:.1f}",
                f"{built.difference:.1e}",
            ]
        )
    print_table(f"{PETS}, once, views/s of the pass, s of all:", rows)
    print(
        "off by: the worst row from that of the processor, of its largest "
        "feature; bfloat16 of the root mean square"
    )


if __name__ == "__main__":
    main()
