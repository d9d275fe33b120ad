"""Judges whether what is installed can be imported, and what it would use."""

import shutil
from pathlib import Path
from typing import Any

from embed.doctor.check import Finding
from embed.doctor.check import fail
from embed.doctor.check import refuse
from embed.doctor.check import warn
from embed.doctor.child import Facts

REINSTALL = (
    "Install again: `python -m pip install --force-reinstall -c "
    "requirements/constraints.txt .`"
)
OUT_OF_MEMORY = "SIGKILL"  # What the kernel ends a process by that takes all.
FREE_MEMORY = (
    "If nobody killed it, memory ran out: end other programs, or raise the "
    "limit of the container"
)
KERAS_SETTINGS = {
    "backend": "tensorflow",
    "floatx": "float32",
    "image_data_format": "channels_last",
}
DRIVER = Path("/proc/driver/nvidia/version")  # Of NVIDIA's driver, on Linux.


def check_imports(facts: Facts) -> Finding:
    """Reports packages that are there and cannot be imported."""
    part = facts.parts.get("imports")
    if part is None:
        return fail(f"The child process {facts.end}", REINSTALL)
    if failed := part["failed"]:
        problems = [f"{name}: {reason}" for name, reason in failed.items()]
        return fail("; ".join(problems), REINSTALL)
    if facts.is_late:
        return warn(
            f"The child process {facts.end}",
            "Run the doctor again; a cold or busy disk may be the reason",
        )
    if facts.end:
        is_memory = OUT_OF_MEMORY in facts.end
        advice = FREE_MEMORY if is_memory else REINSTALL
        return fail(f"The child process {facts.end}", advice)
    return Finding(f"{len(part['modules'])} packages")


def check_keras(part: dict[str, Any]) -> Finding:
    """Reports settings of Keras under which nothing here works."""
    wrong = {k: part[k] for k, v in KERAS_SETTINGS.items() if part[k] != v}
    if not wrong:
        return Finding(", ".join(KERAS_SETTINGS.values()))
    received = ", ".join(f"{name} is {value}" for name, value in wrong.items())
    wanted = ", ".join(f'"{name}": "{KERAS_SETTINGS[name]}"' for name in wrong)
    return fail(
        received,
        f"Run `unset KERAS_BACKEND`, and write {wanted} in ~/.keras/keras.json",
    )


def check_gpu(part: dict[str, Any]) -> Finding:
    """Reports a GPU that TensorFlow does not see."""
    has_driver = DRIVER.exists() or shutil.which("nvidia-smi") is not None
    if has_driver and not part["num_gpus"]:
        return warn(
            f"TensorFlow sees none of this machine's: {part['description']}",
            "`python -m pip install 'headstart[gpu]'` brings the CUDA "
            "libraries; `nvidia-smi` says whether the driver works",
        )
    return Finding(str(part["description"]))


def check_engine(part: dict[str, Any]) -> Finding:
    """Says which engine a build would take, and why."""
    if refusal := part.get("refusal"):
        return refuse(refusal)
    candidates, failed = part["candidates"], part["failed"]
    able = [name for name in candidates if name not in failed]
    absent = [name for name in part["known"] if name not in part["installed"]]
    if not able:
        return fail(
            f"none can be imported: {failed}",
            REINSTALL,
        )
    if part.get("is_chosen"):
        return Finding(f"{able[0]}, as `--engine` says")
    if failed:
        problems = [f"{name}: {reason}" for name, reason in failed.items()]
        return warn(
            f"{able[0]}, as others cannot be imported: {'; '.join(problems)}",
            "`python -m pip install --force-reinstall 'headstart[cpu]'`",
        )
    if len(able) > 1:
        return Finding(
            f"{able[0]}, or whichever of {', '.join(able)} is the fastest in a "
            "trial, where the pass takes longer than 5 minutes"
        )
    if absent and part["installed"] == able:
        return warn(
            f"{able[0]}; not installed: {', '.join(absent)}",
            "`python -m pip install 'headstart[cpu]'`: faster on a processor",
        )
    return Finding(f"{able[0]}, as there is a GPU")
