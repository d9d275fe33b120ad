"""Where the backbone of a build runs: here, in processes or on a cluster."""

import importlib.util

from embed.building.clock import StageClock
from embed.building.request import BuildRequest
from embed.building.runners.runner import Runner
from embed.building.runners.runner import Work
from embed.console import Console
from embed.errors import RunnerError


def check_runner(request: BuildRequest) -> None:
    """Refuses a runner that is not there, and options of another.

    Raises:
        RunnerError: Says which extra to install, what goes together, or that
            no cluster answers.
    """
    if request.runner == "ray":
        if importlib.util.find_spec("ray") is None:
            raise RunnerError(
                "Ray is not installed. Expected: it is, for `--runner ray`. "
                "Install it with `python -m pip install "
                "'headstart[distributed]'`, here and on each machine of the "
                "cluster, or use this machine alone with `--workers N`."
            )
        gpus = request.gpus_per_worker
        if gpus > 1 and gpus != int(gpus):
            raise RunnerError(
                f"A worker cannot have {gpus:g} GPUs. Expected: a whole number "
                "of them, or a part of one. Give such a `--gpus-per-worker`."
            )
        from embed.building.runners.cluster import require_answer

        require_answer(request.address)
    elif request.address is not None or request.gpus_per_worker:
        option = "--address" if request.address else "--gpus-per-worker"
        raise RunnerError(
            f"The option `{option}` is of a cluster. Expected: `--runner ray` "
            "with it. Received: `--runner local`. Give that, or leave out "
            f"`{option}`."
        )


def create_runner(work: Work, clock: StageClock, console: Console) -> Runner:
    """Returns what computes the tasks of a build, as it was asked for.

    Args:
        work: What to compute.
        clock: Receives the seconds of each stage.
        console: Receives remarks.
    """
    request = work.request
    if request.runner == "ray":
        from embed.building.runners.ray_data import RayRunner

        return RayRunner(work, clock, console)
    if (request.num_workers or 1) > 1:
        from embed.building.runners.processes import ProcessRunner

        return ProcessRunner(work, clock, console)
    from embed.building.runners.in_process import InProcessRunner

    return InProcessRunner(work, clock, console)
