"""Small caches for the tests of `tune`, drawn and not embedded."""

import zlib

import numpy as np
import pytest

from embed.backbones.request import BackboneRequest
from embed.blocks import DIGEST_BYTES
from embed.cache import Provenance
from embed.cache import open_cache
from embed.cache import write_cache
from embed.console import Console
from embed.rows import StoredBlock
from embed.sources.source import SourceRequest
from embed.spec import CacheSpec
from embed.spec import SplitSpec
from embed.spec import digest_rows
from head.train import TrainedHead
from tune.search import run_search

NUM_CLASSES = 3
NUM_VIEWS = 2
FEATURE_DIM = 8
NOISE = 1.5  # Classes overlap, so that trials differ in their scores.


def write_tiny_cache(path, *, num_train=60, num_test=30, seed=0):
    """Writes and opens a cache of three clouds of points."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(NUM_CLASSES, FEATURE_DIM))
    blocks, splits = {}, {}
    for split, num_images in {"train": num_train, "test": num_test}.items():
        labels = np.arange(num_images, dtype=np.int32) % NUM_CLASSES
        shape = num_images, NUM_VIEWS, FEATURE_DIM
        noise = NOISE * rng.normal(size=shape)
        ids = [f"{split}-{seed}-{number}" for number in range(num_images)]
        blocks[split] = StoredBlock(
            features=(centers[labels][:, None] + noise).astype(np.float32),
            labels=labels,
            image_ids=np.char.encode(ids, "utf-8"),
            content_digests=np.zeros((num_images, DIGEST_BYTES), np.uint8),
        )
        splits[split] = SplitSpec(
            num_images=num_images, digest=digest_rows(ids, labels)
        )
    write_cache(
        path,
        spec=CacheSpec(
            dataset="tfds:tiny_set",
            dataset_version="1.0.0",
            class_names=("a", "b", "c"),
            splits=splits,
            backbone="keras:Tiny",
            weights_digest="w" * 64,
            image_size=(8, 8),
            views=("plain", "flip"),
        ),
        provenance=Provenance(
            source=SourceRequest(dataset="tfds:tiny_set"),
            backbone=BackboneRequest(handle="keras:Tiny", image_size=(8, 8)),
            engine="tensorflow",
            created="2026-01-01T00:00:00+00:00",
            host="host",
            devices="no GPU, 2 CPU threads",
            versions={},
            seconds={},
        ),
        splits={
            split: lambda block=block: iter([block])
            for split, block in blocks.items()
        },
    )
    return open_cache(path)


@pytest.fixture(name="make_cache")
def _make_cache(tmp_path):
    """Writes a tiny cache by name: 2 views, 8 features, 3 classes."""
    folder = tmp_path / "artifacts" / "caches"
    folder.mkdir(parents=True)
    return lambda name, **sizes: write_tiny_cache(folder / name, **sizes)


@pytest.fixture(name="cache")
def _cache(make_cache):
    """60 training and 30 test images."""
    return make_cache("tiny.h5")


@pytest.fixture(name="train_at_once")
def _train_at_once(monkeypatch):
    """Draws heads from spec and seed instead of training them.

    Training takes a second and is deterministic; what oracles and files do
    with its scores is tested with these.

    Returns:
        The specs of the heads that were asked for.
    """
    specs = []

    def train_head(spec, *, train, val, num_classes, seed):
        specs.append(spec)
        rng = np.random.default_rng(zlib.crc32(spec.to_json().encode()) + seed)
        weights = rng.normal(size=(train.features.shape[-1], num_classes))
        logits = val.features[:, 0] @ weights
        is_right = logits.argmax(-1) == val.labels
        of_true = np.take_along_axis(logits, val.labels[:, np.newaxis], -1)[
            :, 0
        ]
        losses = np.logaddexp.reduce(logits, axis=-1) - of_true
        history = {
            "val_accuracy": [float(is_right.mean())],
            "val_loss": [float(losses.mean())],
        }
        return TrainedHead(None, history)

    monkeypatch.setattr("tune.hypermodel.train_head", train_head)
    monkeypatch.setattr("tune.search.draw_search", lambda trials, path: None)
    return specs


@pytest.fixture(name="search")
def _search(cache, tmp_path):
    """Runs a small search on the cache, options by name."""

    def search(**options):
        defaults = {
            "oracle": "random",
            "max_trials": 5,
            "max_epochs": 4,
            "seed": 0,
            "artifacts_dir": tmp_path / "artifacts",
            "is_overwrite": False,
            "console": Console(is_quiet=True),
        }
        searched = options.pop("cache", cache)
        return run_search(searched, **{**defaults, **options})

    return search
