"""Tests for `embed.backbones.backbone`."""

import dataclasses

import numpy as np
import pytest

import embed.backbones.backbone


@pytest.mark.parametrize(
    ("pixels", "sizes"), [(128, [2, 2, 1]), (1, [1] * 5), (10**6, [5])]
)
def test_images_are_embedded_a_few_at_a_time(
    tiny_backbone, monkeypatch, pixels, sizes
):
    """No call has more pixels than it may, but one image; rows are the same."""
    monkeypatch.setattr(embed.backbones.backbone, "PIXELS_A_CALL", pixels)
    images = np.random.default_rng(0).random((5, 8, 8, 3), np.float32)
    seen = []

    class Model:
        input_shape = tiny_backbone.model.input_shape
        output_shape = tiny_backbone.model.output_shape

        def __call__(self, batch, training):
            seen.append((len(batch), training))
            return tiny_backbone.model(batch)

    backbone = dataclasses.replace(tiny_backbone, model=Model())

    features = backbone.embed(images)

    assert seen == [(size, False) for size in sizes]
    assert features.dtype == np.float32
    np.testing.assert_allclose(
        features, np.asarray(tiny_backbone.model(images)), atol=1e-6
    )
