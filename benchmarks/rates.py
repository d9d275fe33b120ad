"""How fast things go in the plans: what was measured, and what is assumed."""

import argparse
import dataclasses
import math

NUM_VIEWS, FEATURE_DIM = 2, 1_792  # Image and mirror, MobileNetV2 1.4.
DTYPE = "float16"  # Of blocks and caches: half the room, and half the end.
# Images a second with both views, LiteRT on 2 cores: docs/speed.md.
CPU_IMAGES = 67.5
NUM_CPU_CORES = 2
# Measured on 2 cores, and rounded down: `python -m benchmarks.listing`.
LISTED, PLANNED = 200_000.0, 100_000.0  # Names a second, as files.
WORKER_BYTES = 300  # Of a worker's memory, a picture.
ASSEMBLED = 100e6  # Bytes of the cache a second, by one process.
# The same: `python -m benchmarks.scale`.
START_SECONDS, ENGINE_SECONDS = 5.0, 3.0
SPREAD = 0.05
# Assumed.
GPU_VIEWS = 2_000.0  # A second, of one GPU.
PICTURE_BYTES = 110_000  # Of ImageNet: 138 GB of 1.28 million pictures.
CLUSTER_SECONDS = 10.0  # Ray, until the first worker is asked.
AWAY_SECONDS = 600.0  # Until a machine that failed is back, or another one.


@dataclasses.dataclass(frozen=True)
class Rates:
    """What a reader knows better.

    Args:
        gpu_views: Views a second of a GPU.
        picture_bytes: Of an encoded picture.
        listed: Pictures listed a second, by the driver and each worker.
        assembled: Bytes of a cache that are written a second at the end.
    """

    gpu_views: float = GPU_VIEWS
    picture_bytes: float = PICTURE_BYTES
    listed: float = LISTED
    assembled: float = ASSEMBLED


def read_rate(text: str) -> float:
    """Reads a number above 0.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(
            f"Expected: a number above 0. Received: {text}."
        )
    return rate
