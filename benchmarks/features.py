"""Drawn features, of the size and the difficulty of Oxford-IIIT Pet's."""

import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from embed.backbones import BackboneRequest
from embed.cache import FeatureCache
from embed.cache import open_cache
from embed.provenance import Provenance
from embed.provenance import now
from embed.rows import DIGEST_BYTES
from embed.sources import SourceRequest
from embed.spec import CacheSpec
from embed.spec import SplitSpec
from embed.spec import digest_rows
from embed.storage.writer import FeatureRows
from embed.storage.writer import SplitContent
from embed.storage.writer import write_cache

NUM_TRAIN, NUM_TEST = 3680, 3669  # Images of its splits.
NUM_VIEWS, FEATURE_DIM, NUM_CLASSES = 2, 1792, 37  # Of MobileNetV2 1.4.
# In units of the spread of the classes: some nine in ten are right then.
NOISE_OF_IMAGE = 2.3
NOISE_OF_VIEW = 0.7  # A picture and its mirror are much alike.
SCALE = 0.25  # Features are around 0.5 then, as those of pictures are.
PIECE_ROWS = 256  # Of a cache, drawn at a time.


class Clouds:
    """One cloud of points a class, seeded."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._centres = self._normal(NUM_CLASSES, 1, FEATURE_DIM)

    def draw_labels(self, num_images: int) -> np.ndarray:
        """Returns classes in no order, int32 `(num_images,)`."""
        labels = self._rng.integers(0, NUM_CLASSES, num_images)
        return labels.astype(np.int32)

    def draw(self, labels: np.ndarray) -> np.ndarray:
        """Returns features `(num_images, num_views, feature_dim)`."""
        count = len(labels)
        of_image = NOISE_OF_IMAGE * self._normal(count, 1, FEATURE_DIM)
        of_view = NOISE_OF_VIEW * self._normal(count, NUM_VIEWS, FEATURE_DIM)
        features = self._centres[labels] + of_image + of_view
        drawn: np.ndarray = np.float32(SCALE) * np.abs(features)
        return drawn

    def _normal(self, *shape: int) -> np.ndarray:
        return self._rng.standard_normal(shape, np.float32)


def draw_cache(path: Path, num_images: int) -> FeatureCache:
    """Writes a cache of one cloud after the other, without a test split."""
    labels = np.arange(num_images, dtype=np.int32) * NUM_CLASSES // num_images
    image_ids = tuple(f"{number}.jpg" for number in range(num_images))
    source = SourceRequest(dataset="tfds:drawn")
    image_size = 224, 224
    backbone = BackboneRequest(
        handle="keras:MobileNetV2?alpha=1.4", image_size=image_size
    )
    split = SplitSpec(
        num_images=num_images, digest=digest_rows(list(image_ids), labels)
    )
    write_cache(
        path,
        spec=CacheSpec(
            dataset=source.dataset,
            dataset_version="1.0.0",
            class_names=tuple(f"class {n:02}" for n in range(NUM_CLASSES)),
            splits={"train": split},
            backbone=backbone.handle,
            weights_digest="0" * 64,
            image_size=image_size,
            views=("plain", "flip"),
        ),
        provenance=Provenance(
            source=source,
            backbone=backbone,
            engine="tensorflow",
            max_pixels=1,
            created=now(),
            host=platform.node(),
            devices="",
            versions={},
            seconds={},
        ),
        feature_dim=FEATURE_DIM,
        splits={
            "train": SplitContent(image_ids, labels, lambda: _rows_of(labels))
        },
    )
    return open_cache(path)


def _rows_of(labels: np.ndarray) -> Iterator[FeatureRows]:
    """Yields the rows of a cache, the same every time."""
    clouds = Clouds()
    for start in range(0, len(labels), PIECE_ROWS):
        of_piece = labels[start : start + PIECE_ROWS]
        yield FeatureRows(
            features=clouds.draw(of_piece),
            content_digests=np.zeros((len(of_piece), DIGEST_BYTES), np.uint8),
            is_oriented=np.zeros(len(of_piece), np.bool_),
        )
