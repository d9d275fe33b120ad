"""What tests of comparisons share: one without any training."""

import pytest

from head.spec import HeadSpec
from tune.comparing.record import CacheComparison
from tune.comparing.record import Contestant

FIRST = Contestant(
    cache="caches/a.h5",
    fingerprint="a" * 16,
    backbone="keras:MobileNetV2",
    image_size=(224, 224),
    views=("plain", "flip"),
    precision="float32",
    dtype="float32",
    feature_dim=1280,
    num_bytes=38_000_000,
    views_per_second=178.0,
    engine="litert",
    host="box",
    val_accuracy=0.9012,
    val_accuracies=(0.9, 0.9024),
    interval=(0.88, 0.92),
    val_accuracy_all_views=0.9100,
    ridge_accuracy=0.8988,
    train_seconds=1.6,
)
SECOND = FIRST.model_copy(
    update={
        "cache": "caches/b.h5",
        "fingerprint": "b" * 16,
        "image_size": (96, 96),
        "views": ("plain",),
        "views_per_second": 900.0,
        "val_accuracy": 0.8512,
        "val_accuracies": (0.85, 0.8524),
        "interval": (0.83, 0.87),
        "difference": -0.05,
        "difference_interval": (-0.07, -0.03),
        "ridge_accuracy": None,
    }
)


@pytest.fixture(name="create_comparison")
def _create_comparison():
    """Makes a comparison of two caches; takes fields of the second."""

    def create(**fields):
        return CacheComparison(
            spec=HeadSpec(),
            seeds=(0, 1),
            num_val=600,
            caches=(FIRST, SECOND.model_copy(update=fields)),
            seconds=9.0,
        )

    return create
