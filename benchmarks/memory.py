"""Peak memory of a build, by the number of images: it must not grow.

Builds caches of 1,000, 4,000 and 16,000 drawn pictures, plain and mirrored,
with MobileNetV2 at 96 px, each in a process of its own whose peak the system
tells. Prints a table and one JSON line; the figure to quote is the ratio of
the largest peak to the smallest.
"""

import json
import multiprocessing
import platform
import resource
import tempfile
from pathlib import Path

import numpy as np

COUNTS = (1_000, 4_000, 16_000)
NUM_CLASSES = 10
TEST_EVERY = 5  # One picture in so many goes to the test split.
PICTURE_SIDE = 256  # Pixels.
IMAGE_SIDE = 96  # Pixels, as the backbone sees them: quick.
KILOBYTES_PER_MB = 1_000


def main() -> None:
    """Measures each and prints what it took."""
    peaks = {count: measure(count) for count in COUNTS}
    ratio = max(peaks.values()) / min(peaks.values())
    print(f"{'images':>8}{'peak MB':>10}")
    for count, peak in peaks.items():
        print(f"{count:>8,}{peak:>10,.0f}")
    print(f"ratio {ratio:.3f}")
    print(
        json.dumps(
            {
                "benchmark": "memory",
                "ratio": ratio,
                "peak_mb": peaks,
                "machine": platform.processor() or platform.machine(),
            }
        )
    )


def measure(count: int) -> float:
    """Returns the peak memory, in MB, of a build of so many images."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, context.Pool(1) as pool:
        draw_pictures(Path(folder) / "pictures", count)
        return pool.apply(build, (folder,))


def draw_pictures(folder: Path, count: int) -> None:
    """Draws JPEGs of random patches, one folder a class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        split = "train" if number % TEST_EVERY else "test"
        class_dir = folder / split / f"class-{number % NUM_CLASSES}"
        class_dir.mkdir(parents=True, exist_ok=True)
        patches = rng.integers(0, 256, (12, 12, 3), np.uint8)
        side = (PICTURE_SIDE, PICTURE_SIDE)
        picture = Image.fromarray(patches).resize(side)
        picture.save(class_dir / f"{number:06}.jpg", quality=80)


def build(folder: str) -> float:
    """Builds the cache and returns the peak memory of this process, in MB."""
    from embed.backbones import BackboneRequest
    from embed.building.request import BuildRequest
    from embed.extract import build_cache
    from embed.sources import SourceRequest

    side = (IMAGE_SIDE, IMAGE_SIDE)
    build_cache(
        BuildRequest(
            source=SourceRequest(dataset=f"folder:{folder}/pictures"),
            backbone=BackboneRequest(
                handle="keras:MobileNetV2", weights="random", image_size=side
            ),
        ),
        artifacts_dir=Path(folder),
    )
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss / KILOBYTES_PER_MB


if __name__ == "__main__":
    main()
