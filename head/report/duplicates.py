"""Test pictures that are in the train split as well, or nearly.

Similar is the cosine of two feature vectors of view 0, less the mean of the
train split: what all pictures share would make any two alike. How similar two
must be to count as nearly the same, each data set says itself where its cache
has mirror images: as similar as 19 of 20 pictures are to their own mirror
image, which shows the same things. On Oxford-IIIT Pet that is 0.877, and finds
shots of one scene; most test pictures are at 0.59 from their nearest. Without
mirror images a fixed figure stands in.
"""

import dataclasses

import numpy as np

from embed.cache import FeatureCache
from embed.splits import sample_rows
from head.vectors import find_mean
from head.vectors import scale_to_unit

TRAIN, TEST = "train", "test"
SALT = "duplicates"  # Of the sample.
MAX_TEST_IMAGES = 5_000  # Of 2,048 features: 41 MB; larger splits are sampled.
MIRROR_QUANTILE = 0.05
LEAST_SIMILARITY = 0.85  # Where mirror images are nothing like the pictures.
PLAIN_SIMILARITY = 0.95  # Without mirror images. Of 351 digits one is closer.


@dataclasses.dataclass(frozen=True)
class Pair:
    """A test picture and the training picture that is most similar to it.

    Args:
        test_row: In the test split.
        train_row: In the train split.
        similarity: Cosine of their centred features, -1 to 1.
        is_same_file: Whether they are equal byte by byte.
    """

    test_row: int
    train_row: int
    similarity: float
    is_same_file: bool


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """The nearest training picture of each test picture.

    Args:
        pairs: The most similar first.
        threshold: Similarity from which on two pictures are nearly the same.
        is_of_mirrors: Whether the mirror images gave it.
    """

    pairs: list[Pair]
    threshold: float
    is_of_mirrors: bool

    @property
    def close(self) -> list[Pair]:
        """Those of nearly the same pictures."""
        return [
            pair
            for pair in self.pairs
            if pair.similarity >= self.threshold or pair.is_same_file
        ]


def find_duplicates(
    cache: FeatureCache, *, max_test_images: int = MAX_TEST_IMAGES
) -> Duplicates:
    """Looks up test pictures among the training pictures of a cache.

    Args:
        cache: Where the features lie; the train split is read twice,
            in pieces.
        max_test_images: Of more a sample is looked up.

    Raises:
        CorruptCacheError: If a row is not what was written.
    """
    rows = sample_rows(cache.image_ids(TEST), max_test_images, SALT)
    every = np.arange(cache.num_images[TRAIN])
    read = cache.read_rows(TRAIN, every)
    mean = find_mean((s.features[:, 0] for _, s in read), cache.feature_dim)
    mean = mean.astype(np.float32)
    queries, mirrored = _read_test(cache, rows, mean)
    best = np.full(len(rows), -np.inf, np.float32)
    nearest = np.zeros(len(rows), np.int64)
    for start, stored in cache.read_rows(TRAIN, every):
        similarities = queries @ scale_to_unit(stored.features[:, 0] - mean).T
        found = similarities.argmax(axis=1)
        values = similarities[np.arange(len(rows)), found]
        is_better = values > best
        best[is_better] = values[is_better]
        nearest[is_better] = start + found[is_better]
    digests = {name: cache.content_digests(name) for name in (TRAIN, TEST)}
    is_same = (digests[TEST][rows] == digests[TRAIN][nearest]).all(axis=1)
    order = np.argsort(-best, kind="stable")
    threshold, is_of_mirrors = PLAIN_SIMILARITY, False
    if mirrored is not None:
        usual = float(np.quantile(mirrored, MIRROR_QUANTILE))
        threshold = max(usual, LEAST_SIMILARITY)
        is_of_mirrors = usual >= LEAST_SIMILARITY
    return Duplicates(
        pairs=[
            Pair(
                test_row=int(rows[number]),
                train_row=int(nearest[number]),
                similarity=float(min(best[number], 1.0)),
                is_same_file=bool(is_same[number]),
            )
            for number in order
        ],
        threshold=threshold,
        is_of_mirrors=is_of_mirrors,
    )


def _read_test(
    cache: FeatureCache, rows: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns unit vectors, and how similar each is to its mirror's."""
    views = cache.spec.views
    queries = np.zeros((len(rows), cache.feature_dim), np.float32)
    mirrored = np.zeros(len(rows), np.float32)
    for start, stored in cache.read_rows(TEST, rows):
        plain = scale_to_unit(stored.features[:, 0] - mean)
        queries[start : start + len(plain)] = plain
        if "flip" in views:
            features = stored.features[:, views.index("flip")]
            mirror = scale_to_unit(features - mean)
            mirrored[start : start + len(plain)] = (plain * mirror).sum(-1)
    return queries, mirrored if "flip" in views else None
