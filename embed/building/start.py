"""The engine of a build: chosen, and checked by the first images."""

from collections.abc import Mapping

import numpy as np

from embed.backbones import Backbone
from embed.backbones.sized import SizedBackbones
from embed.building.agreement import check_engine
from embed.building.request import BuildRequest
from embed.console import Console
from embed.engines import Engine
from embed.engines import create_engine
from embed.engines import list_candidates
from embed.engines.choice import choose_engine
from embed.engines.engine import freeze
from embed.engines.sized import SizedEngines
from embed.engines.sized import share_pixels
from embed.errors import EngineError

NUM_CHECKED = 8  # Images: the reference takes 0.3 s for these at 224 px.


def start_engine(
    request: BuildRequest,
    backbones: SizedBackbones,
    images: Mapping[tuple[int, int], np.ndarray],
    *,
    num_views: int,
    earlier: str,
    console: Console,
) -> Engine | SizedEngines:
    """Chooses an engine by the first good images, and checks it on them.

    A build that goes on stays with its engine: all rows are of one then.
    Images of every size run on the same engine.

    Args:
        request: What to build.
        backbones: What embeds it.
        images: By size float32 `(num_images, height, width, 3)` in [0, 1].
        num_views: Views that are to be embedded.
        earlier: Engine of the attempt before, `""` where none needed one.
        console: Told what was tried.

    Raises:
        BackboneError: If the features have no variance.
        EngineError: If no engine can run the backbone, or the one chosen does
            not answer what the backbone answers.
    """
    names = list_candidates(request.engine, request.precision)
    own = backbones.backbone.image_size
    main, *others = sorted(images, key=lambda size: size != own)
    engine = choose_engine(
        (earlier,) if earlier in names else names,
        backbones.at(main),
        images[main],
        precision=request.precision,
        batch_size=request.batch_size,
        num_views=num_views,
        console=console,
    )
    engines = [engine]
    for size in others:
        batch_size = request.batch_size or share_pixels(
            engine.batch_size, main, size
        )
        engines.append(
            _create_like(
                engine,
                backbones.at(size),
                images[size],
                precision=request.precision,
                batch_size=batch_size,
            )
        )
        freeze.cache_clear()  # It holds all weights once more.
    for size, of_size in zip((main, *others), engines, strict=True):
        check_engine(
            of_size,
            backbones.at(size),
            images[size][:NUM_CHECKED],
            request.precision,
        )
    return SizedEngines(engines) if others else engine


def _create_like(
    engine: Engine,
    backbone: Backbone,
    images: np.ndarray,
    *,
    precision: str,
    batch_size: int,
) -> Engine:
    """Converts a backbone of a further size for the engine of the first.

    Raises:
        EngineError: If that cannot run it.
    """
    try:
        sized = create_engine(engine.name, backbone, precision, batch_size)
        sized(images[:1])
    # A converter that meets an unknown operation raises what it likes.
    except Exception as error:
        height, width = backbone.image_size
        raise EngineError(
            f"The engine {engine.name} cannot run {backbone.name} at {height} "
            f"x {width} pixels, as the view scale{height} has them. Received: "
            f"{' '.join(str(error).split()).rstrip('.')}. Run again with "
            f"another `--engine`, or without scale{height} in `--views`."
        ) from error
    return sized
