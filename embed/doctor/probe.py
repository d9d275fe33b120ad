"""The program of the child process: finds out, and judges nothing.

It writes a line of JSON on stdout before each step that may end it (`trying`)
and after each (`part` with its `facts`), so that what was found out before a
crash is known. All that libraries print goes to stderr.
"""

import importlib
import importlib.util
import json
import os
import resource
from collections.abc import Callable
from typing import Any

from embed.doctor.builds import look_at_builds
from embed.doctor.hub_cache import look_at_hub_cache
from embed.doctor.inputs import look_at_backbone
from embed.doctor.inputs import look_at_dataset
from embed.doctor.inputs import look_at_views
from embed.doctor.prepared import look_at_datasets
from embed.doctor.rates import look_at_rates
from embed.doctor.subject import Subject

# What the commands import sooner or later, what comes first first. A package
# may be there in the right version and be broken all the same.
MODULES = (
    *("numpy", "h5py", "filelock", "pydantic", "sklearn", "matplotlib"),
    *("tensorflow", "keras", "tensorflow_hub", "tensorflow_datasets"),
    *("importlib_resources", "tensorboard.plugins.hparams.api"),
    "keras_tuner",
)
KIB = 1024  # In which Linux counts resident memory.


def main(text: str) -> None:
    """Prints all facts, whatever becomes of some.

    Args:
        text: What `Subject.to_json` returned.
    """
    subject = Subject.from_json(text)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(record: dict[str, Any]) -> None:
        answers.write(json.dumps(record, default=str) + "\n")
        answers.flush()

    say({"part": "imports", "facts": _import_all(say)})

    def find_image_size() -> int | None:
        size = found.get("backbone", {}).get("image_size")
        return size or subject.image_size

    found: dict[str, dict[str, Any]] = {}
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "builds": lambda: look_at_builds(subject.artifacts_dir),
        "hub cache": lambda: look_at_hub_cache(subject.backbone),
        "datasets": lambda: look_at_datasets(subject.data_dir),
        "keras": _look_at_keras,
        "devices": _look_at_devices,
        "engines": lambda: _look_at_engines(subject),
        "views": lambda: look_at_views(subject),
        "dataset": lambda: look_at_dataset(subject),
        "backbone": lambda: look_at_backbone(subject),
        "memory": _look_at_memory,
        "rates": lambda: look_at_rates(subject, find_image_size()),
    }
    for name, look in parts.items():
        say({"trying": name})
        try:
            facts = look()
        except Exception as error:  # Of whatever is broken here.
            facts = {"error": _in_words(error)}
        found[name] = facts
        say({"part": name, "facts": facts})
    os._exit(0)  # What libraries do at their end may crash, and is not needed.


def _import_all(say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    failed = {}
    for name in MODULES:
        say({"trying": f"the import of {name}"})
        try:
            importlib.import_module(name)
        except Exception as error:  # An import runs anything.
            failed[name] = _in_words(error)
    return {"modules": MODULES, "failed": failed}


def _look_at_keras() -> dict[str, Any]:
    import keras

    return {
        "backend": keras.backend.backend(),
        "floatx": keras.backend.floatx(),
        "image_data_format": keras.backend.image_data_format(),
    }


def _look_at_devices() -> dict[str, Any]:
    from embed.devices import prepare_devices

    devices = prepare_devices()
    return {
        "num_gpus": devices.num_physical_gpus,
        "description": devices.describe(),
    }


def _look_at_engines(subject: Subject) -> dict[str, Any]:
    """Imports those that are installed, and those alone."""
    from embed.engines import ENGINES
    from embed.engines import is_installed
    from embed.engines import list_candidates
    from embed.errors import EngineError

    try:
        candidates = list_candidates(subject.engine, subject.precision)
    except EngineError as error:  # What is asked for, no fault of others.
        return {"refusal": _in_words(error)}
    installed = [name for name in ENGINES if is_installed(name)]
    failed = {}
    for name in installed:
        try:
            importlib.import_module(ENGINES[name])
        except Exception as error:
            failed[name] = _in_words(error)
    return {
        "known": list(ENGINES),
        "installed": installed,
        "failed": failed,
        "candidates": candidates,
        "is_chosen": subject.engine != "auto",
    }


def _look_at_memory() -> dict[str, Any]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"peak_bytes": usage.ru_maxrss * KIB}


def _in_words(error: BaseException) -> str:
    from embed.errors import PipelineError

    text = " ".join(str(error).split())
    return (
        text
        if isinstance(error, PipelineError)
        else f"{type(error).__name__}: {text}"
    )
