"""The cluster of `--runner ray`: how it is found, and divided among workers."""

import contextlib
import dataclasses
import logging
import os
import socket
from collections.abc import Iterator
from collections.abc import Sequence

import ray
import ray.exceptions

from embed.errors import RunnerError
from embed.network import limit_silence
from embed.startup import LOG_LEVEL_FATAL
from embed.startup import LOG_LEVEL_VARIABLE
from embed.startup import quiet_start


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a machine of a cluster offers.

    Args:
        num_cpus: CPU threads.
        num_gpus: GPUs.
    """

    num_cpus: int
    num_gpus: float


# Of all cores: a small head node among large machines is left out.
USED_SHARE = 0.8
AUTO = "auto"  # The address of the cluster that runs on this machine.


def require_answer(address: str | None) -> None:
    """Refuses an address at which nobody listens: Ray would try for minutes.

    Args:
        address: `auto`, `HOST:PORT`, or `None`.

    Raises:
        RunnerError: If it is none of these, or nobody answers there.
    """
    if address is None or address == AUTO:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise RunnerError(
            "The address of the Ray cluster is none. Expected: `--address "
            f"auto` or `--address HOST:PORT`. Received: {address!r}. `ray "
            "status` on a machine of the cluster tells whether it runs."
        )
    try:
        with limit_silence():
            socket.create_connection((host.strip("[]"), int(port))).close()
    except (OSError, OverflowError) as error:
        raise _refuse(address, str(error)) from error


def connect(address: str | None) -> None:
    """Joins a cluster, or starts one of this machine alone.

    Args:
        address: `auto`, `HOST:PORT`, or `None` to start one.

    Raises:
        RunnerError: If there is none.
    """
    if os.environ.get(LOG_LEVEL_VARIABLE) == LOG_LEVEL_FATAL:  # Not with -v.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with quiet_start():
            ray.init(
                address=address or "local",
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    # Ray raises what it likes: ConnectionError, ValueError, RuntimeError.
    except Exception as error:
        raise _refuse(address or "local", str(error)) from error


def list_machines() -> list[Machine]:
    """Returns the machines of the cluster that can compute."""
    machines = [
        Machine(
            num_cpus=int(node["Resources"].get("CPU", 0)),
            num_gpus=node["Resources"].get("GPU", 0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    return [machine for machine in machines if machine.num_cpus]


def divide_cluster(
    machines: Sequence[Machine], num_workers: int | None, gpus_each: float
) -> tuple[int, int]:
    """Divides a cluster among workers of one size.

    Args:
        machines: What there is.
        num_workers: How many are wanted; default: as many as there are GPUs
            for, or few large ones that leave few cores over.
        gpus_each: GPUs of each worker, 0 for none.

    Returns:
        How many workers there will be, and how many CPU threads each has.

    Raises:
        RunnerError: If there is no room for one.
    """

    def count_by_gpus(machine: Machine) -> int:
        """Returns how many workers have GPUs; a part is of a single one."""
        if gpus_each < 1:
            return int(machine.num_gpus) * int(1 / gpus_each)
        return int(machine.num_gpus / gpus_each)

    def count(num_cpus: int) -> int:
        """Returns how many workers of so many CPU threads have room."""
        return sum(
            min(m.num_cpus // num_cpus, count_by_gpus(m))
            if gpus_each
            else m.num_cpus // num_cpus
            for m in machines
        )

    most = count(1)
    if not most:
        raise RunnerError(
            "The Ray cluster has no room for a worker. Expected: a machine "
            f"with a CPU and {gpus_each:g} GPUs. Received: "
            f"{_describe(machines)}. Add one, or give other "
            "`--gpus-per-worker`."
        )
    sizes = range(max(machine.num_cpus for machine in machines), 0, -1)
    if num_workers or gpus_each:
        wanted = min(num_workers or most, most)
        return wanted, next(size for size in sizes if count(size) >= wanted)
    size = next(s for s in sizes if count(s) * s >= USED_SHARE * most)
    return count(size), size


@contextlib.contextmanager
def say_lost_workers() -> Iterator[None]:
    """Makes an error of what Ray gives up on.

    Raises:
        RunnerError: Says what Ray says, and what to do.
    """
    try:
        yield
    except ray.exceptions.RayError as error:
        raise RunnerError(
            "Ray could not end the work. Expected: workers that compute until "
            f"all is done. Received: {_first_line(error)}. What is finished "
            "is kept: run the command again. Where memory is short, give "
            "fewer `--workers` or a lower `--batch-size`."
        ) from error


def _refuse(address: str, received: str) -> RunnerError:
    return RunnerError(
        f"There is no Ray cluster at {address}. Expected: one that answers. "
        f"Received: {' '.join(received.split()).rstrip('.')}. Start one with "
        "`ray start --head`, and on each other machine with `ray start "
        "--address HOST:PORT`, or leave out `--address`, which uses this "
        "machine alone."
    )


def _describe(machines: Sequence[Machine]) -> str:
    if not machines:
        return "no machine"
    offers = (f"{m.num_cpus} CPUs, {m.num_gpus:g} GPUs" for m in machines)
    return "machines with " + "; ".join(sorted(set(offers)))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
