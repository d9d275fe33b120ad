"""How the time of a pass divides into its stages, which overlap."""

import contextlib
import threading
import time
from collections.abc import Iterator
from collections.abc import Mapping

STAGES = ("read", "decode", "forward", "write")


class StageClock:
    """Adds up the seconds of each stage, over all threads that work on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Counts what its body takes to a stage."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add({stage: time.monotonic() - began})

    def add(self, seconds: Mapping[str, float]) -> None:
        """Adds what was measured elsewhere, by stage."""
        with self._lock:
            for stage, amount in seconds.items():
                self.seconds[stage] += amount

    def start(self) -> None:
        """Begins the pass: what came before was start-up."""
        self._began = time.monotonic()

    def elapsed(self) -> float:
        """Returns the seconds since the start of the pass."""
        return time.monotonic() - self._began

    def describe(self) -> str:
        """Returns the share of each stage, for people."""
        total = sum(self.seconds.values())
        return ", ".join(
            f"{stage} {seconds / total if total else 0:.1%}"
            for stage, seconds in self.seconds.items()
        )
