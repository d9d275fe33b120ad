"""Run a backbone fast: tensorflow (frozen graph), litert, openvino."""

import importlib.util

from embed.backbones import Backbone
from embed.devices import prepare_devices
from embed.engines.engine import Engine
from embed.errors import EngineError

__all__ = ["ENGINES", "Engine", "choose_engine", "create_engine"]

# The package that each engine needs, fastest first as measured on 2 cores:
# 170, 150 and 100 images/s with MobileNetV2 1.4 in float32.
ENGINES = {
    "litert": "ai_edge_litert",
    "openvino": "openvino",
    "tensorflow": "tensorflow",
}
BFLOAT16_ENGINES = ("openvino",)


def choose_engine(name: str, precision: str) -> str:
    """Returns the engine to use: the one named, or for `auto` the best here.

    A GPU calls for tensorflow; without one the fastest that is installed and
    computes in `precision` is taken.

    Raises:
        EngineError: If it is not installed or cannot do it.
    """
    able = [
        engine
        for engine in ENGINES
        if precision == "float32" or engine in BFLOAT16_ENGINES
    ]
    if name == "auto":
        if prepare_devices().num_physical_gpus and "tensorflow" in able:
            return "tensorflow"
        for engine in able:
            if importlib.util.find_spec(ENGINES[engine]):
                return engine
        name = able[0]
    if name not in able:
        raise EngineError(
            f"The engine {name} does not compute in {precision}. Expected: "
            f"one of {sorted(able)}. Run again with `--engine {able[0]}` or "
            "`--precision float32`."
        )
    if not importlib.util.find_spec(ENGINES[name]):
        raise EngineError(
            f"The engine {name} is not installed. Install it with "
            "`python -m pip install 'headstart[cpu]'`, or run again with "
            "`--engine auto`."
        )
    return name


def create_engine(
    name: str, backbone: Backbone, batch_size: int, precision: str
) -> Engine:
    """Converts a backbone for an engine.

    Args:
        name: One of `ENGINES`.
        backbone: What to run.
        batch_size: Images a call; smaller batches are padded to it.
        precision: `"float32"` or `"bfloat16"`.
    """
    if name == "litert":
        from embed.engines.litert import LiteRTEngine

        return LiteRTEngine(backbone, batch_size)
    if name == "openvino":
        from embed.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(backbone, batch_size, precision)
    from embed.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(backbone, batch_size)
