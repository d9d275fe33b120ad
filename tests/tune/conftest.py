"""Small caches for the tests of `tune`, drawn and not embedded."""

import zlib

import numpy as np
import pytest

from embed.console import Console
from head.train import TrainedHead
from tune.search import run_search


@pytest.fixture(name="make_cache")
def _make_cache(tmp_path, draw_cache):
    """Writes a tiny cache by name: 2 views, 8 features, 3 classes."""
    folder = tmp_path / "artifacts" / "caches"
    folder.mkdir(parents=True)
    return lambda name, **options: draw_cache(folder / name, **options)


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
