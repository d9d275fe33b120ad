"""Pictures through PyTorch, with torchvision's MobileNetV2 of the same width.

Its weights are its own; speed does not depend on them.
"""

import warnings
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.with_keras import ALPHA
from benchmarks.with_keras import BATCH_SIZE
from benchmarks.with_keras import IMAGE_SIDE
from embed.devices import num_cpu_threads


def run_torch_eager(paths: list[str], weights: str) -> np.ndarray:
    """Returns features of torchvision's network, with weights of its own."""
    return _embed_by_torch(paths, lambda model, images: model)


def run_torch_traced(paths: list[str], weights: str) -> np.ndarray:
    """Returns the same of the traced and frozen network."""
    import torch

    # It prefers `torch.compile`, which needs a C++ compiler here.
    warnings.simplefilter("ignore", FutureWarning)
    return _embed_by_torch(
        paths,
        lambda model, images: torch.jit.freeze(torch.jit.trace(model, images)),
    )


def _embed_by_torch(
    paths: list[str], convert: Callable[[Any, Any], Any]
) -> np.ndarray:
    import torch
    import torchvision
    from torch.utils.data import DataLoader

    loader = DataLoader(
        paths,  # Any sequence will do.
        batch_size=BATCH_SIZE,
        num_workers=num_cpu_threads(),
        collate_fn=_read_by_torch,
    )
    model = torchvision.models.mobilenet_v2(width_mult=ALPHA)
    model.classifier = torch.nn.Identity()
    model = model.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        first = _read_by_torch(paths[:BATCH_SIZE])
        _set_statistics(model, first)
        model = convert(model, first)
        found = [model(images).numpy() for images in loader]
    return np.concatenate(found)


def _read_by_torch(paths: Sequence[str]) -> Any:
    """Returns a batch of pixels in [0, 1], channels last in memory."""
    import torch
    from torchvision.io import ImageReadMode
    from torchvision.io import read_image
    from torchvision.transforms.v2 import functional

    pictures = [
        functional.resize(
            functional.to_dtype(
                read_image(path, ImageReadMode.RGB), torch.float32, scale=True
            ),
            [IMAGE_SIDE, IMAGE_SIDE],
            antialias=False,
        )
        for path in paths
    ]
    return torch.stack(pictures).to(memory_format=torch.channels_last)


def _set_statistics(model: Any, images: Any) -> None:
    """Sets every BatchNorm from one batch, so that numbers stay normal."""
    import torch

    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    model.train()
    model(images)
    model.eval()
