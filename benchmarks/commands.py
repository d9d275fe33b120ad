"""The commands that embed a folder of pictures, ours and what others write."""

import functools
from collections.abc import Callable
from pathlib import Path

from benchmarks.alternatives import list_ways
from benchmarks.with_keras import HANDLE
from benchmarks.with_keras import IMAGE_SIDE

ONE_VIEW, FLIP = "openvino", "openvino, two views"  # What a second one costs.
BFLOAT16 = "openvino bfloat16"
# Engine, precision and views of our command, by way.
OURS = {
    ONE_VIEW: ("openvino", "float32", "plain"),
    FLIP: ("openvino", "float32", "flip"),  # Right after it.
    "litert": ("litert", "float32", "plain"),
    "tensorflow": ("tensorflow", "float32", "plain"),
    BFLOAT16: ("openvino", "bfloat16", "plain"),
}
ONE_VIEW_OURS = [name for name in OURS if name != FLIP]

# What to run on a folder, writing features to a path.
Command = Callable[[Path, Path], list[str]]


def list_commands(weights: str) -> dict[str, Command]:
    """Returns what can be run here, by way."""
    commands: dict[str, Command] = {}
    for name, (engine, precision, views) in OURS.items():
        words = ["--backbone", HANDLE, "--weights", weights, "--views", views]
        words += ["--image-size", str(IMAGE_SIDE)]
        words += ["--engine", engine, "--precision", precision]
        commands[name] = functools.partial(command_of_ours, words)
    for name in list_ways():
        commands[name] = functools.partial(
            command_of_alternative, name, weights
        )
    return commands


def command_of_ours(
    words: list[str], folder: Path, path: Path, *, is_overwrite: bool = True
) -> list[str]:
    """Returns our command, which writes a cache, or finds it there."""
    source = ["--dataset", f"folder:{folder}", "--artifacts", str(path.parent)]
    target = ["--cache", str(path.with_suffix(".h5")), "-q"]
    target += ["--overwrite"] if is_overwrite else []
    return ["embed", "build-cache", *words, *source, *target]


def command_of_alternative(
    name: str, weights: str, folder: Path, path: Path
) -> list[str]:
    """Returns the command of another way, which writes an array."""
    target = str(path.with_suffix(".npy"))
    return ["benchmarks.alternatives", name, str(folder), weights, target]
