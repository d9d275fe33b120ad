"""Small caches for the tests of `tune`, drawn and not embedded."""

import functools
import zlib

import numpy as np
import pytest

from embed.console import Console
from tune.search import run_search
from tune.task import Outcome


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


class DrawingTrainer:
    """Draws heads from spec and seed instead of training them.

    Training takes a second and is deterministic; what oracles and files do
    with its scores is tested with these.

    Args:
        val: Rows to score by.
        num_classes: Number of classes.
        seed: Of the heads.
        specs: Receives the specs of the heads that are asked for.
        diverges: Tells for a spec whether its training fails.
    """

    def __init__(self, *, val, num_classes, seed, specs, diverges, **_):
        self.val, self.num_classes, self.seed = val, num_classes, seed
        self.specs, self.diverges = specs, diverges

    def train(self, tasks, on_end):
        """Ends each at once."""
        for place, task in enumerate(tasks):
            self.specs.append(task.spec)
            on_end(place, self.judge(task.spec), [np.zeros(1)])

    def judge(self, spec):
        """Returns how a drawn head does on view 0 of the validation rows."""
        if self.diverges(spec):
            return Outcome(message="The training diverged.")
        key = zlib.crc32(spec.to_json().encode()) + self.seed
        rng = np.random.default_rng(key)
        features, labels = self.val.features[:, 0], self.val.labels
        logits = features @ rng.normal(
            size=(features.shape[-1], self.num_classes)
        )
        is_right = logits.argmax(-1) == labels
        losses = np.logaddexp.reduce(logits, axis=-1)
        losses = losses - logits[np.arange(len(labels)), labels]
        return Outcome(float(is_right.mean()), float(losses.mean()))


@pytest.fixture(name="diverging")
def _diverging():
    """Kinds of specs whose training shall fail, as functions of a spec."""
    return []


@pytest.fixture(name="train_at_once")
def _train_at_once(monkeypatch, diverging):
    """Has heads drawn that are asked for, see `DrawingTrainer`.

    Returns:
        The specs of the heads that were asked for.
    """
    specs = []
    monkeypatch.setattr(
        "tune.trainers.VectorizedTrainer",
        functools.partial(
            DrawingTrainer,
            specs=specs,
            diverges=lambda spec: any(is_so(spec) for is_so in diverging),
        ),
    )
    monkeypatch.setattr("tune.finish.draw_search", lambda *_, **__: None)
    return specs


@pytest.fixture(name="search")
def _search(cache, tmp_path):
    """Runs a small search on the cache, options by name; no baselines."""

    def search(**options):
        defaults = {
            "oracle": "random",
            "max_trials": 5,
            "max_epochs": 4,
            "parallel": 3,
            "seed": 0,
            "has_baselines": False,
            "artifacts_dir": tmp_path / "artifacts",
            "is_overwrite": False,
            "console": Console(is_quiet=True),
        }
        searched = options.pop("cache", cache)
        return run_search(searched, **{**defaults, **options})

    return search
