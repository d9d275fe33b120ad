"""Run a backbone fast: openvino, litert, tensorflow (frozen graph)."""

import importlib.util

from embed.backbones import Backbone
from embed.devices import prepare_devices
from embed.engines.engine import Engine
from embed.errors import EngineError

__all__ = ["ENGINES", "Engine", "create_engine", "list_candidates"]

# The package that each engine needs, in the order in which they are tried: on 2
# cores MobileNetV2 1.4 runs at 155 images/s on the first, 124 on the second.
ENGINES = {
    "openvino": "openvino",
    "litert": "ai_edge_litert",
    "tensorflow": "tensorflow",
}
BFLOAT16_ENGINES = ("openvino", "tensorflow")


def list_candidates(name: str, precision: str) -> tuple[str, ...]:
    """Returns the engines among which the fastest is to be taken.

    That is the one named, and for `auto` all that are installed and compute in
    `precision`; on a GPU it is tensorflow.

    Raises:
        EngineError: If it is not installed or cannot do it.
    """
    able = [
        engine
        for engine in ENGINES
        if precision == "float32" or engine in BFLOAT16_ENGINES
    ]
    if name == "auto":
        if prepare_devices().num_physical_gpus:
            return ("tensorflow",)
        return tuple(engine for engine in able if is_installed(engine))
    if name not in able:
        raise EngineError(
            f"The engine {name} does not compute in {precision}. Expected: "
            f"one of {sorted(able)}. Run again with `--engine {able[0]}` or "
            "`--precision float32`."
        )
    if not is_installed(name):
        raise EngineError(
            f"The engine {name} is not installed. Install it with "
            "`python -m pip install 'headstart[cpu]'`, or run again with "
            "`--engine auto`."
        )
    return (name,)


def is_installed(name: str) -> bool:
    """Tells whether the package that an engine needs is there."""
    return importlib.util.find_spec(ENGINES[name]) is not None


def create_engine(
    name: str,
    backbone: Backbone,
    precision: str = "float32",
    batch_size: int | None = None,
) -> Engine:
    """Converts a backbone for an engine.

    Args:
        name: One of `ENGINES`.
        backbone: What to run.
        precision: `"float32"` or `"bfloat16"`.
        batch_size: Images a call; default: what suits engine and image size.
    """
    if name == "litert":
        from embed.engines.litert import LiteRTEngine

        return LiteRTEngine(backbone, batch_size)
    if name == "openvino":
        from embed.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(backbone, batch_size, precision)
    from embed.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(backbone, batch_size, precision)
