"""Which engine is the fastest here: each is tried for a second.

Where the pass is short, a glance at the first is enough.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from embed.backbones import Backbone
from embed.console import Console
from embed.engines import Engine
from embed.engines import create_engine
from embed.engines.engine import freeze
from embed.errors import EngineError

TRIAL_SECONDS = 1.0
GLANCE_SECONDS = 0.2  # Enough to know whether the pass is short.
# Converting a backbone and trying it takes 3 to 6 s an engine, and engines
# differ by a tenth: a pass of 5 minutes may gain what that costs.
WORTH_SECONDS = 300.0
# By how much an engine must be faster than one that is tried before it: trials
# differ by a few hundredths, and two builds of the same should be the same.
WORTH_FACTOR = 1.1


def choose_engine(
    names: Sequence[str],
    backbone: Backbone,
    images: np.ndarray,
    *,
    precision: str,
    batch_size: int | None,
    num_views: int,
    console: Console,
) -> Engine:
    """Converts a backbone for the engine that runs it fastest, and says so.

    One that cannot run it is passed over where there are others.

    Args:
        names: Candidates, in the order in which they are tried.
        backbone: What to run.
        images: float32 `(num_images, height, width, 3)` in [0, 1], to try it
            on.
        precision: `"float32"` or `"bfloat16"`.
        batch_size: Images a call; default: what suits the engine.
        num_views: Views that are to be embedded.
        console: Told what was tried.

    Raises:
        EngineError: If none can run it.
    """
    best, rates = None, dict[str, float]()
    problem: Exception | None = None
    untried = list(names)
    for name in names:
        untried.remove(name)
        try:
            engine = create_engine(name, backbone, precision, batch_size)
            engine(images[:1])
        # A converter that meets an unknown operation raises what it likes.
        except Exception as error:
            problem = error
            if len(names) > 1:
                console.say(
                    f"The engine {name} cannot run {backbone.name}: "
                    f"{' '.join(str(error).split())}"
                )
            continue
        if len(names) == 1:
            best = engine
            break
        rates[name] = measure_rate(engine, images, GLANCE_SECONDS)
        is_short = num_views / rates[name] < WORTH_SECONDS
        if not is_short:
            rates[name] = measure_rate(engine, images, TRIAL_SECONDS)
        if best is None or rates[name] > WORTH_FACTOR * rates[best.name]:
            best = engine
        if is_short:
            break
    freeze.cache_clear()  # It holds all weights once more.
    if best is None:
        raise EngineError(
            f"None of the engines {', '.join(names)} can run the backbone "
            f"{backbone.name} in {precision}. Received: {problem}. Run again "
            "with another `--engine`, `--precision` or `--backbone`."
        ) from problem
    if rates:
        console.say(_describe(best.name, rates, untried))
    return best


def measure_rate(engine: Engine, images: np.ndarray, seconds: float) -> float:
    """Returns the images a second that all streams of an engine run.

    Args:
        engine: What to measure; it has run before.
        images: float32 `(num_images, height, width, 3)` in [0, 1].
        seconds: How long to run it, about.
    """
    batch = images[: engine.batch_size]
    began = time.monotonic()

    def run_stream(_: int) -> int:
        num_images = 0
        while not num_images or time.monotonic() - began < seconds:
            engine(batch)
            num_images += engine.batch_size
        return num_images

    with ThreadPoolExecutor(engine.num_streams) as pool:
        num_images = sum(pool.map(run_stream, range(engine.num_streams)))
    return num_images / (time.monotonic() - began)


def _describe(
    name: str, rates: dict[str, float], untried: Sequence[str]
) -> str:
    tried = ", ".join(f"{n} {rate:,.0f}" for n, rate in rates.items())
    text = f"Engine: {name}. Views/s in a short trial: {tried}"
    if untried:
        text += f"; {', '.join(untried)} not tried, the pass being short"
    return f"{text}."
