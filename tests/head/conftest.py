"""What tests of `head` share: features that are easy to tell apart."""

import os
import weakref

import numpy as np
import pytest

from embed.cache import FeatureCache
from embed.rows import Rows
from tests.tiny_export import make_export

NUM_CLASSES = 3
NUM_IMAGES = 48
FEATURE_DIM = 6


@pytest.fixture(name="rows")
def _rows():
    """48 images of three classes, two views each, six features."""
    rng = np.random.default_rng(0)
    labels = (np.arange(NUM_IMAGES) % NUM_CLASSES).astype(np.int32)
    centres = 2 * rng.normal(size=(NUM_CLASSES, FEATURE_DIM))
    noise = rng.normal(size=(NUM_IMAGES, 2, FEATURE_DIM))
    return Rows(
        features=np.abs(centres[labels][:, None] + noise).astype(np.float32),
        labels=labels,
        image_ids=tuple(f"{number}.jpg" for number in range(NUM_IMAGES)),
    )


@pytest.fixture(name="watch_cache", scope="session")
def _watch_cache():
    """Opens a cache again, as one that knows how much of it is in memory."""
    return WatchedCache


@pytest.fixture(name="tiny_export", scope="session")
def _tiny_export(tmp_path_factory, tiny_module_dir):
    """An exported model and what it was made from; only to be read."""
    return make_export(tmp_path_factory.mktemp("export"), tiny_module_dir)


class WatchedCache(FeatureCache):
    """Counts the features that are in memory whenever some were read."""

    def __init__(self, cache):
        descriptor = os.open(cache.path, os.O_RDONLY)
        super().__init__(cache.path, descriptor, cache.seal)
        self.taken = []
        self.most_bytes = 0

    def take(self, selection, **options):
        """Takes rows and looks what is left of those taken before."""
        rows = super().take(selection, **options)
        # Tensors that share the memory keep this array, and not the other.
        self.taken.append(weakref.ref(rows.features.base))
        held = [owner() for owner in self.taken]
        in_use = sum(owner.nbytes for owner in held if owner is not None)
        self.most_bytes = max(self.most_bytes, in_use)
        return rows
