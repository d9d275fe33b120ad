"""The stages of both ways from JPEG files to a head that is judged, timed.

Each is a call in a process that waits for calls. In one folder lie
`pictures/`, `drawn.weights.h5` and, by precision, our caches.
"""

import functools
import time
from pathlib import Path
from typing import Any
from typing import Literal

from benchmarks.measure import Values
from benchmarks.pictures import NUM_CLASSES
from benchmarks.pictures import list_pictures
from benchmarks.with_keras import create_full_model
from benchmarks.with_keras import feed
from benchmarks.with_keras import load
from benchmarks.with_keras import request_backbone
from embed.cache import open_cache
from head.spec import HeadSpec

Precision = Literal["float32", "bfloat16"]
ONCE, EACH = "once", "each"  # Seconds before all trainings, and of each.
EPOCH = "epoch"  # Seconds of one through the backbone.
PICTURES = "pictures"
SPEC = HeadSpec()


def run_reference(folder: Path) -> Values:
    """Runs one epoch and an evaluation of a model that is compiled already."""
    began = time.perf_counter()
    load(weights_of(folder))
    loaded = time.perf_counter()
    model, train, test = create_reference(folder)
    ready = time.perf_counter()
    model.fit(train, shuffle=False, verbose=0)  # The batches are drawn.
    trained = time.perf_counter()
    model.evaluate(test, verbose=0)
    evaluation = time.perf_counter() - trained
    epoch = trained - ready
    return {
        ONCE: loaded - began,
        EPOCH: epoch,
        "evaluation": evaluation,
        EACH: SPEC.epochs * epoch + evaluation,
    }


@functools.cache
def create_reference(folder: Path) -> tuple[Any, Any, Any]:
    """Returns the full model and its batches, to train on and to judge by."""
    model = create_full_model(
        weights_of(folder),
        dropout=SPEC.dropout,
        learning_rate=SPEC.learning_rate,
        num_classes=NUM_CLASSES,
    )
    train, test = (
        feed(*list_pictures(folder / PICTURES, split), is_training=is_training)
        for split, is_training in (("train", True), ("test", False))
    )
    return model, train, test


def build(folder: Path, precision: Precision) -> Values:
    """Builds the cache of both views, the loading of the backbone included."""
    from embed.building.request import BuildRequest
    from embed.extract import build_cache
    from embed.sources import SourceRequest

    began = time.perf_counter()
    result = build_cache(
        BuildRequest(
            source=SourceRequest(dataset=f"folder:{folder / PICTURES}"),
            backbone=request_backbone(weights_of(folder)),
            precision=precision,
        ),
        artifacts_dir=folder,
        cache_path=cache_of(folder, precision),
        is_overwrite=True,
    )
    once = time.perf_counter() - began
    return {ONCE: once, "pass": result.seconds["pass"]}


def train(folder: Path, precision: str) -> Values:
    """Trains and judges a head on the cache, which is read from the disk."""
    from embed.splits import Selection
    from head.evaluating.evaluate import logits_of_features
    from head.evaluating.metrics import compute_metrics
    from head.training.train import prepare_threads
    from head.training.train import train_head

    began = time.perf_counter()
    cache = open_cache(cache_of(folder, precision))
    prepare_threads(feature_dim=cache.feature_dim, num_classes=NUM_CLASSES)
    head = train_head(
        SPEC,
        train=cache.take(Selection("train")),
        val=None,
        num_classes=NUM_CLASSES,
        seed=0,
    )
    test = cache.take(Selection("test"))
    logits = logits_of_features(head.model, test.features[:, :1])
    compute_metrics(logits, test.labels)
    return {EACH: time.perf_counter() - began}


def weights_of(folder: Path) -> str:
    """Returns where the weights of the backbone lie."""
    return str(folder / "drawn.weights.h5")


def cache_of(folder: Path, precision: str) -> Path:
    """Returns where a cache lies."""
    return folder / f"{precision}.h5"
