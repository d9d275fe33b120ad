"""The engine of many predictions: chosen, and checked by the first images."""

from collections.abc import Callable

import numpy as np

from embed.backbones import Backbone
from embed.console import Console
from embed.engines import Engine
from embed.engines import list_candidates
from embed.engines.choice import choose_engine
from embed.errors import EngineError

NUM_CHECKED = 8  # Pictures, on which an engine must agree with the model.
TOLERANCE = 1e-4  # Of the largest answer; engines differ by a tenth of it.


def start_engine(
    wanted: str,
    model: Backbone,
    images: np.ndarray,
    num_files: int | None,
    *,
    console: Console,
) -> Engine:
    """Chooses an engine as the build of a cache does, and checks it.

    Args:
        wanted: One of `embed.engines.ENGINES`, or `auto`.
        model: What is to run.
        images: The first ones, float32 `(num_images, height, width, 3)` in
            [0, 1].
        num_files: How many there are, if that is known.
        console: Told what was tried.

    Raises:
        EngineError: If no engine can run the model, or the one chosen does
            not answer what the model answers.
    """
    names = list_candidates(wanted, "float32")
    try:
        engine = choose_engine(
            names,
            model,
            images,
            precision="float32",
            batch_size=None,
            num_views=num_files or 1,  # Unknown: the first that can.
            console=console,
        )
    except EngineError as error:
        raise EngineError(
            f"The model {model.name} runs on none of the engines "
            f"{', '.join(names)}. Received: {error.__cause__}. Run again "
            "with another `--engine`."
        ) from error
    require_agreement(engine, model, images[:NUM_CHECKED])
    return engine


def require_agreement(
    engine: Callable[[np.ndarray], np.ndarray],
    model: Backbone,
    images: np.ndarray,
) -> None:
    """Compares an engine with the model itself.

    Raises:
        EngineError: If it answers something else.
    """
    expected = model.embed(images)
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(engine(images) - expected).max())
    if not difference <= allowed:
        raise EngineError(
            f"The engine {type(engine).__name__} does not answer what the "
            f"model {model.name} answers. Expected: a difference of at most "
            f"{allowed:.1e}. Received: {difference:.1e}. Run again with "
            "another `--engine`."
        )
