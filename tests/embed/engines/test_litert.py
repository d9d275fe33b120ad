"""Tests for `embed.engines.litert`."""

import numpy as np
import pytest

from embed.engines import create_engine

pytest.importorskip("ai_edge_litert")

# Packed weights of the tiny backbone, and activations of two images.
STREAM_BYTES = 8 * (8 * 8 * 3 * 4) + 512 * (2 * 8 * 8)


@pytest.mark.parametrize(
    ("num_free_bytes", "num_streams"),
    [
        (0, 1),
        (4 * STREAM_BYTES, 1),
        (8 * STREAM_BYTES, 2),
        (12 * STREAM_BYTES - 1, 2),
        (12 * STREAM_BYTES, 3),
        (10**15, 4),
    ],
)
def test_there_are_as_many_streams_as_fit_in_memory(
    tiny_backbone, monkeypatch, num_free_bytes, num_streams
):
    """Each has weights of its own: all of them take a quarter of what is free.

    One runs whatever is free, and none is without a core.
    """
    monkeypatch.setattr("embed.engines.litert.num_cpu_threads", lambda: 4)
    monkeypatch.setattr(
        "embed.engines.litert.free_memory", lambda: num_free_bytes
    )
    images = np.random.default_rng(0).random((3, 8, 8, 3), np.float32)
    expected = np.asarray(tiny_backbone.model(images))

    engine = create_engine("litert", tiny_backbone, batch_size=2)

    assert engine.num_streams == num_streams
    for _ in range(num_streams + 1):  # Of each stream.
        np.testing.assert_allclose(engine(images), expected, atol=1e-5)
