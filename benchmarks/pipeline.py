"""From pixels to a trained head: the cache's way against the reference's.

The reference runs the frozen backbone over every image in every epoch of
`Model.fit`; here one epoch of it is measured, and the other 29 are multiplied.
Ours embeds each image twice (plain and mirrored) once and then trains 30
epochs on features. Both get decoded pixels, so that neither pays for JPEG.
Prints a table and one JSON line; the figures to quote are the ratios.
"""

import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from embed.backbones import Backbone
from embed.backbones import BackboneRequest
from embed.backbones import load_backbone
from embed.devices import prepare_devices
from embed.engines import Engine
from embed.engines import choose_engine
from embed.engines import create_engine
from embed.rows import Rows
from embed.views import VIEWS
from head.spec import HeadSpec
from head.train import train_head

NUM_IMAGES = 512  # Enough for a steady rate; 3,680 would take half an hour.
NUM_CLASSES = 37
NUM_REPEATS = 5  # Alternating, after one of each to warm up.
NUM_TRAININGS = (1, 10, 100)  # One head, a small search, a large one.
REQUEST = BackboneRequest(
    handle="keras:MobileNetV2?alpha=1.4",
    weights="random",  # Speed does not depend on them.
    image_size=(224, 224),
)
SPEC = HeadSpec()

Value = TypeVar("Value")


def main() -> None:
    """Measures both in turn and prints what they took."""
    backbone = load_backbone(REQUEST)
    engine_name = choose_engine("auto", "float32")
    engine = create_engine(engine_name, backbone, SPEC.batch_size, "float32")
    rng = np.random.default_rng(0)
    images = rng.random((NUM_IMAGES, *REQUEST.image_size, 3), np.float32)
    labels = rng.integers(0, NUM_CLASSES, NUM_IMAGES).astype(np.int32)
    full_model = create_reference(backbone)
    seconds: dict[str, list[float]] = {"epoch": [], "embed": [], "train": []}
    for repeat in range(NUM_REPEATS + 1):
        epoch, _ = measure(
            functools.partial(run_reference, full_model, images, labels)
        )
        embed, features = measure(functools.partial(run_embed, engine, images))
        rows = Rows(features, labels, tuple(map(str, range(NUM_IMAGES))))
        train, _ = measure(functools.partial(run_train, rows))
        if repeat:
            for name, value in zip(seconds, (epoch, embed, train), strict=True):
                seconds[name].append(value)
    report(seconds, engine_name)


def report(seconds: dict[str, list[float]], engine_name: str) -> None:
    """Prints the table and the JSON line."""
    epoch, embed, train = (statistics.median(s) for s in seconds.values())
    print(
        f"{NUM_IMAGES} images, {SPEC.epochs} epochs, medians of {NUM_REPEATS}: "
        f"an epoch through the backbone {epoch:.1f} s, both views embedded "
        f"once on {engine_name} {embed:.1f} s, a head trained {train:.1f} s"
    )
    print(f"{'trainings':>9}{'reference s':>13}{'ours s':>9}{'ratio':>7}")
    ratios = {}
    for count in NUM_TRAININGS:
        reference = count * SPEC.epochs * epoch
        ours = embed + count * train
        ratios[count] = reference / ours
        print(
            f"{count:>9}{reference:>13,.0f}{ours:>9,.1f}{ratios[count]:>7.1f}"
        )
    print(
        json.dumps(
            {
                "benchmark": "pipeline",
                "ratios": ratios,
                "seconds": seconds,
                "engine": engine_name,
                "backbone": REQUEST.handle,
                "num_images": NUM_IMAGES,
                "machine": platform.processor() or platform.machine(),
                "devices": prepare_devices().describe(),
                "keras": keras.__version__,
            }
        )
    )


def create_reference(backbone: Backbone) -> keras.Model:
    """Returns frozen backbone and head as the reference trains them."""
    model = keras.Sequential(
        [
            backbone.model,
            keras.layers.Dropout(SPEC.dropout),
            keras.layers.Dense(NUM_CLASSES),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(SPEC.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def run_reference(
    model: keras.Model, images: np.ndarray, labels: np.ndarray
) -> None:
    """Trains one epoch through the backbone."""
    model.fit(images, labels, batch_size=SPEC.batch_size, verbose=0)


def run_embed(engine: Engine, images: np.ndarray) -> np.ndarray:
    """Returns the features of both views of every image."""
    batches = [
        np.stack([engine(VIEWS[view](batch)) for view in ("plain", "flip")], 1)
        for batch in np.split(images, NUM_IMAGES // SPEC.batch_size)
    ]
    return np.concatenate(batches)


def run_train(rows: Rows) -> None:
    """Trains the reference recipe on features, compilation included."""
    train_head(SPEC, train=rows, val=None, num_classes=NUM_CLASSES, seed=0)


def measure(run: Callable[[], Value]) -> tuple[float, Value]:
    """Returns how many seconds a call takes, and its value."""
    began = time.perf_counter()
    value = run()
    return time.perf_counter() - began, value


if __name__ == "__main__":
    main()
