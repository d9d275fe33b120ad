"""Runs the probe in a child process, and keeps what it said before it died."""

import json
import signal
import subprocess
import sys
from typing import Any

from embed.doctor.check import UnknownError
from embed.doctor.subject import Subject

# All of TensorFlow, a backbone and an engine: 15 s here, more from a cold disk.
TIME_OUT_SECONDS = 300.0
# The child imports what the parent would, also where that was arranged by hand.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from embed.doctor.probe import main; main(sys.argv[2])"
)
# What checks of their own report: others refer to them.
FETCHED = ("dataset", "backbone")
REPORTED = ("views", *FETCHED)


class Facts:
    """What the probe found out, part by part.

    Args:
        parts: By name what was found out; `error` says why nothing was.
        end: Why the probe ended before its time, or `""`.
        is_late: Whether that was because it took too long.
    """

    def __init__(
        self,
        parts: dict[str, dict[str, Any]],
        end: str = "",
        *,
        is_late: bool = False,
    ) -> None:
        self.parts = parts
        self.end = end
        self.is_late = is_late

    def problem(self, name: str) -> str:
        """Returns what the probe met instead of a part, or `""`."""
        return str(self.parts.get(name, {}).get("error", ""))

    def get(self, name: str) -> dict[str, Any]:
        """Returns a part.

        Raises:
            UnknownError: If it was not found out; says why.
        """
        part = self.parts.get(name)
        if part is None:
            raise UnknownError(self.end or f"the probe said nothing of {name}")
        if "error" in part:
            is_said = name in REPORTED
            raise UnknownError(f"see {name}" if is_said else part["error"])
        return part

    def urls(self) -> list[str]:
        """Returns what a build would fetch, as far as that is known.

        Raises:
            UnknownError: If nothing at all is known.
        """
        parts = [self.parts.get(name, {}) for name in FETCHED]
        if not any("urls" in part for part in parts):
            for name in FETCHED:
                self.get(name)
        return [url for part in parts for url in part.get("urls", [])]


def run_probe(subject: Subject, *, is_verbose: bool = False) -> Facts:
    """Looks up in a child process what may crash, hang or be slow.

    Args:
        subject: What a build would be of.
        is_verbose: Whether the child's log is shown.
    """
    process = subprocess.Popen(  # noqa: S603  Our own program.
        [
            sys.executable,
            "-c",
            PROGRAM,
            json.dumps(sys.path),
            subject.to_json(),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if is_verbose else subprocess.PIPE,
        text=True,
        errors="replace",
    )
    end, is_late = "", False
    try:
        stdout, stderr = process.communicate(timeout=TIME_OUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        is_late = True
        end = f"took longer than {TIME_OUT_SECONDS:.0f} s"
    except BaseException:
        process.kill()
        process.wait()
        raise
    parts, trying = _read_parts(stdout)
    if process.returncode and not end:
        end = _describe_end(process.returncode, stderr or "")
    end = f"{end} at {trying}" if end and trying else end
    return Facts(parts, end, is_late=is_late)


def _read_parts(stdout: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Returns the parts, and what was being tried at the end."""
    parts: dict[str, dict[str, Any]] = {}
    trying = ""
    for line in stdout.splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # Cut off.
            continue
        trying = record.get("trying", "")
        if "part" in record:
            parts[record["part"]] = record["facts"]
    return parts, trying


def _describe_end(code: int, stderr: str) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    lines = stderr.strip().splitlines() or [""]
    return f"ended with exit code {code} ({lines[-1].strip()})"
