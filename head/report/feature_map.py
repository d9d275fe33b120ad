"""Where test pictures lie among each other, in two dimensions."""

import dataclasses

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from embed.cache import FeatureCache
from embed.splits import Selection
from embed.splits import sample_rows
from head.vectors import scale_to_unit

SALT = "map"  # Of the sample.
MAX_IMAGES = 2_000  # More dots hide each other, and take minutes.
NUM_COMPONENTS = 50  # As van der Maaten and Hinton (2008) do before t-SNE.
PERPLEXITY = 30.0  # Theirs too; it must be well below the number of points.
LEAST_IMAGES = 10  # Fewer have no neighbourhoods: their components alone.
SEED = 0


@dataclasses.dataclass(frozen=True)
class FeatureMap:
    """Test pictures as points.

    Args:
        rows: In the test split, `(num_points,)`.
        points: In the unit square, `(num_points, 2)`.
        method: How they came there.
    """

    rows: np.ndarray
    points: np.ndarray
    method: str


def draw_map(
    cache: FeatureCache, *, max_images: int = MAX_IMAGES
) -> FeatureMap | None:
    """Returns a map of test features, or `None` of fewer than three."""
    rows = sample_rows(cache.image_ids("test"), max_images, SALT)
    if len(rows) < 3:
        return None
    features = cache.take(Selection("test", rows)).features[:, 0]
    unit = scale_to_unit(features)
    num_components = min(NUM_COMPONENTS, *unit.shape)
    if not np.ptp(unit, axis=0).any():
        return None
    reduced = PCA(num_components, random_state=SEED).fit_transform(unit)
    if len(rows) < LEAST_IMAGES or num_components < 2:
        points = np.zeros((len(rows), 2))
        points[:, : min(2, num_components)] = reduced[:, :2]
        method = "principal components"
    else:
        points = TSNE(
            perplexity=min(PERPLEXITY, (len(rows) - 1) / 3),
            init="pca",
            learning_rate="auto",
            random_state=SEED,
        ).fit_transform(reduced)
        method = f"t-SNE of {num_components} principal components"
    points = points - points.min(axis=0)
    return FeatureMap(rows, points / max(points.max(), 1e-12), method)
