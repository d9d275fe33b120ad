"""What tests of `head` share: features that are easy to tell apart."""

import numpy as np
import pytest

from embed.rows import Rows

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
