"""Processes that work for this one, on a share of the cores each.

Each imports TensorFlow anew, since none may be forked that has computed with
it. None outlives the process that started it, whatever happens there.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any


def share_cores(num_processes: int) -> list[list[int]]:
    """Returns the cores of each of several processes, one at least."""
    cores = sorted(os.sched_getaffinity(0))
    return [
        cores[number::num_processes] or [cores[number % len(cores)]]
        for number in range(num_processes)
    ]


def start_process(
    target: Callable[..., None],
    arguments: tuple[Any, ...],
    *,
    name: str,
    cores: list[int],
) -> SpawnProcess:
    """Starts a process on some cores, which ends with this one.

    Args:
        target: A function of a module, called there.
        arguments: What it is given.
        name: Of the process.
        cores: Those it may use; `num_cpu_threads` counts them there.
    """
    process = multiprocessing.get_context("spawn").Process(
        target=_run,
        args=(target, arguments, cores),
        name=name,
        daemon=True,
    )
    # The first start of all starts this too, and unblocks the signal then.
    resource_tracker.ensure_running()
    # It inherits this: Ctrl-C is for this process, which ends the others.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def describe_workers(num_workers: int, share: str, place: str = "") -> str:
    """Returns e.g. `2 workers on Ray of 1 CPU thread each`.

    Args:
        num_workers: How many there are.
        share: What each has.
        place: Where they are, e.g. `" on Ray"`.
    """
    if num_workers == 1:
        return f"one worker{place} of {share}"
    return f"{num_workers} workers{place} of {share} each"


def describe_threads(num_threads: int) -> str:
    """Returns `1 CPU thread` or `2 CPU threads`."""
    return f"{num_threads} CPU thread{'s' if num_threads > 1 else ''}"


def describe_end(exitcode: int | None) -> str:
    """Returns how a process ended, e.g. `"was killed by SIGKILL"`."""
    for number in signal.Signals:
        if exitcode == -number:
            return f"was killed by {number.name}"
    return f"ended with exit code {exitcode}"


def _run(
    target: Callable[..., None], arguments: tuple[Any, ...], cores: list[int]
) -> None:
    """Does the work of a process, in it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.sched_setaffinity(0, cores)
    target(*arguments)


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
