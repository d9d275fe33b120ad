"""How busy a GPU is while something runs, as its driver tells."""

import shutil
import subprocess
import tempfile
import time

PROGRAM = "nvidia-smi"
PERIOD_MS = 100
QUERY = "--query-gpu=utilization.gpu,memory.used"
FORMAT = "--format=csv,noheader,nounits"


def describe_gpu() -> str:
    """Returns the name of the first GPU, or nothing where there is none."""
    if shutil.which(PROGRAM) is None:
        return ""
    told = subprocess.run(
        [PROGRAM, "--query-gpu=name", "--format=csv,noheader"],
        check=False,
        capture_output=True,
        text=True,
    )
    return told.stdout.split("\n")[0] if told.returncode == 0 else ""


class GpuMeter:
    """Asks the driver, as long as its context lasts, about the first GPU.

    Attributes:
        busy_seconds: In which a kernel ran.
        peak_mb: Most memory in use, by whomever.
    """

    def __init__(self) -> None:
        self.busy_seconds = 0.0
        self.peak_mb = 0.0

    def __enter__(self) -> "GpuMeter":
        self._told = tempfile.TemporaryFile("w+")
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            [PROGRAM, "--id=0", QUERY, FORMAT, f"--loop-ms={PERIOD_MS}"],
            stdin=subprocess.DEVNULL,
            stdout=self._told,
        )
        return self

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._began
        self._process.terminate()
        self._process.wait()
        with self._told:
            self._told.seek(0)
            # The last line may be cut off.
            lines = [line for line in self._told if line.endswith("\n")]
        samples = [[float(part) for part in line.split(",")] for line in lines]
        if samples:
            shares, megabytes = zip(*samples, strict=True)
            self.busy_seconds = seconds * sum(shares) / len(shares) / 100
            self.peak_mb = max(megabytes)
