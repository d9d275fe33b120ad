"""Workers on the machine of the chief: started, watched and ended by it.

Each is a process of its own, on its share of the cores.
"""

import dataclasses
import logging
import os
import shutil
import sys
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path

import typer

from embed.console import command
from embed.devices import num_cpu_threads
from embed.devices import prepare_devices
from embed.devices import use_threads
from embed.errors import PipelineError
from embed.processes import describe_end
from embed.processes import describe_threads
from embed.processes import describe_workers
from embed.processes import share_cores
from embed.processes import start_process
from tune.role import Address
from tune.role import Role
from tune.spec import SearchSpec

# In a row, each worker, before the fault is taken to be in the work: one by
# bad luck, and another one.
MAX_DEATHS = 2
WORKERS = "workers"  # Folder of what each has trained, while it works.


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker needs to know to be started.

    Args:
        cache_path: Features to train on.
        spec: What is searched.
        search_dir: Where the search works.
        memory_limit: Bytes that features may take in each worker.
    """

    cache_path: Path
    spec: SearchSpec
    search_dir: Path
    memory_limit: int


class LocalWorkers:
    """The worker processes of one search.

    Args:
        job: What they do.
        num_workers: How many there are.
    """

    def __init__(self, job: Job, num_workers: int) -> None:
        self._job = job
        self._folder = job.search_dir / WORKERS
        self._cores = {
            f"worker-{number}": cores
            for number, cores in enumerate(share_cores(num_workers), 1)
        }
        self._processes: dict[str, SpawnProcess] = {}
        self._num_deaths = 0  # Since a trial was finished.

    def describe(self) -> str:
        """Returns how many there are and what each has."""
        share = describe_threads(min(map(len, self._cores.values())))
        return describe_workers(len(self._cores), share)

    def start(self, address: Address) -> bool:
        """Starts them, unless they run already; tells whether it did.

        Args:
            address: Of their chief.
        """
        if self._processes:
            return False
        self._address = address
        shutil.rmtree(self._folder, ignore_errors=True)  # Of a killed search.
        for name in self._cores:
            self._start(name)
        return True

    def note_success(self) -> None:
        """Takes notice that one has finished a trial."""
        self._num_deaths = 0

    def restart_dead(self) -> dict[str, str]:
        """Starts those again that ended.

        Returns:
            How each ended, by name, e.g. `"was killed by SIGKILL"`.

        Raises:
            PipelineError: If they do so again and again.
        """
        dead = {
            name: describe_end(process.exitcode)
            for name, process in self._processes.items()
            if not process.is_alive()
        }
        self._num_deaths += len(dead)
        if self._num_deaths >= MAX_DEATHS * len(self._cores):
            raise PipelineError(
                f"The workers ended {self._num_deaths} times in a row without "
                "finishing a trial. Expected: that they train until the search "
                f"is done. Received: one that {[*dead.values()][-1]}. Where "
                "memory is short give fewer `--workers` or a lower "
                "`--memory-limit`; with `-v` they log what they do. What is "
                "finished is kept: run the command again."
            )
        for name in dead:
            self._processes[name].close()
            self._start(name)
        return dead

    def stop(self, seconds: float) -> None:
        """Waits for their end, and kills those that are left then.

        Args:
            seconds: How long to wait, in all.
        """
        deadline = time.monotonic() + seconds
        for process in self._processes.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
        for process in self._processes.values():
            process.join()
        if self._processes:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._processes = {}

    def _start(self, name: str) -> None:
        self._processes[name] = start_process(
            _run_worker,
            (
                self._job,
                Role(name, self._address),
                self._folder / name,
                logging.getLogger().isEnabledFor(logging.INFO),
            ),
            name=name,
            cores=self._cores[name],
        )


# === In the process of a worker ===


def _run_worker(job: Job, role: Role, folder: Path, is_verbose: bool) -> None:
    """Does the work of one worker."""
    os.environ.update(role.variables)
    os.environ["no_grpc_proxy"] = role.address.host
    try:
        with command(is_verbose=is_verbose, is_quiet=True) as console:
            use_threads(num_cpu_threads())
            prepare_devices()

            from tune.worker import ReportedError
            from tune.worker import work_here

            try:
                work_here(job, role, folder, console)
            except ReportedError:  # The chief says it.
                sys.exit(1)
    except typer.Exit as end:
        sys.exit(end.exit_code)
