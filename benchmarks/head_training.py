"""The reference recipe on cached features: `train_head` against `Model.fit`.

Both train Dropout 0.25 + Dense on 3,680 x 2 x 1792 features for 30 epochs of
batches of 32 with Adam at 5e-4. `Model.fit` gets view 0 as arrays, which is
the fastest form it has: drawing views from a `tf.data` pipeline costs more.
Prints a table and one JSON line; the figure to quote is the ratio.
"""

import json
import os
import platform
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from embed.devices import prepare_devices
from embed.rows import Rows
from head.spec import HeadSpec
from head.train import train_head

NUM_IMAGES, NUM_VIEWS, FEATURE_DIM = 3680, 2, 1792  # Oxford-IIIT Pet, 1.4.
NUM_CLASSES = 37
NUM_REPEATS = 5  # Alternating, after one of each to warm up.
SPEC = HeadSpec()


def main() -> None:
    """Measures both in turn and prints what they took."""
    rows = draw_rows()
    ways = {"train_head": run_ours, "Model.fit": run_fit}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(NUM_REPEATS + 1):
        for name, run in ways.items():
            began = time.perf_counter()
            run(rows)
            if repeat:
                seconds[name].append(time.perf_counter() - began)
    ratios = [
        fit / ours
        for fit, ours in zip(*reversed(seconds.values()), strict=True)
    ]
    print(f"{'way':<12}{'median s':>10}{'min':>8}{'max':>8}")
    for name, of_way in seconds.items():
        print(
            f"{name:<12}{statistics.median(of_way):>10.2f}"
            f"{min(of_way):>8.2f}{max(of_way):>8.2f}"
        )
    print(f"ratio {statistics.median(ratios):.2f}")
    print(
        json.dumps(
            {
                "benchmark": "head_training",
                "ratio": statistics.median(ratios),
                "seconds": seconds,
                "machine": platform.processor() or platform.machine(),
                "devices": prepare_devices().describe(),
                "keras": keras.__version__,
            }
        )
    )


def draw_rows() -> Rows:
    """Returns features of the size of Oxford-IIIT Pet's, seeded."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, NUM_CLASSES, NUM_IMAGES).astype(np.int32)
    centres = rng.normal(size=(NUM_CLASSES, FEATURE_DIM))
    noise = 3 * rng.normal(size=(NUM_IMAGES, NUM_VIEWS, FEATURE_DIM))
    features = np.abs(centres[labels][:, np.newaxis] + noise)
    image_ids = tuple(str(number) for number in range(NUM_IMAGES))
    return Rows(features.astype(np.float32), labels, image_ids)


def run_ours(rows: Rows) -> None:
    """Trains the reference recipe with a view drawn per image and epoch."""
    train_head(SPEC, train=rows, val=None, num_classes=NUM_CLASSES, seed=0)


def run_fit(rows: Rows) -> None:
    """Trains the reference recipe as a Keras user would, on view 0."""
    model = keras.Sequential(
        [
            keras.Input((FEATURE_DIM,)),
            keras.layers.Dropout(SPEC.dropout),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(SPEC.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        rows.features[:, 0],
        rows.labels,
        batch_size=SPEC.batch_size,
        epochs=SPEC.epochs,
        verbose=0,
    )


if __name__ == "__main__":
    main()
