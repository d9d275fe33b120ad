"""The engine of a build: chosen, and checked by the first images."""

from collections.abc import Sequence

import numpy as np

from embed.backbones import Backbone
from embed.building.agreement import check_engine
from embed.building.request import BuildRequest
from embed.console import Console
from embed.engines import Engine
from embed.engines import list_candidates
from embed.engines.choice import choose_engine

NUM_CHECKED = 8  # Images: the reference takes 0.3 s for these at 224 px.


def start_engine(
    request: BuildRequest,
    backbone: Backbone,
    images: np.ndarray,
    *,
    num_views: int,
    earlier: Sequence[str],
    console: Console,
) -> Engine:
    """Chooses an engine by the first good images, and checks it on them.

    A build that goes on stays with its engine: all rows are of one then.

    Args:
        request: What to build.
        backbone: What embeds it.
        images: float32 `(num_images, height, width, 3)` in [0, 1].
        num_views: Views that are to be embedded.
        earlier: Engines of earlier attempts, `""` for one that needed none.
        console: Told what was tried.

    Raises:
        BackboneError: If the features have no variance.
        EngineError: If no engine can run the backbone, or the one chosen does
            not answer what the backbone answers.
    """
    names = list_candidates(request.engine, request.precision)
    last = [engine for engine in earlier if engine][-1:]
    engine = choose_engine(
        last if set(last) & set(names) else names,
        backbone,
        images,
        precision=request.precision,
        batch_size=request.batch_size,
        num_views=num_views,
        console=console,
    )
    check_engine(engine, backbone, images[:NUM_CHECKED], request.precision)
    return engine
