"""Turns: blocks that are computed one after the other, as they came."""

import contextlib
import threading
from collections.abc import Iterator


class Turns:
    """Lets one unit after the other have the engine, as they came.

    The next one is read and decoded meanwhile, and the last one written.
    """

    def __init__(self) -> None:
        self._lock, self._last = threading.Lock(), threading.Event()
        self._last.set()

    @contextlib.contextmanager
    def take(self) -> Iterator[threading.Event]:
        """Yields what is set when the one before is done."""
        done = threading.Event()
        with self._lock:
            before, self._last = self._last, done
        try:
            yield before
        finally:
            before.wait()  # One that never needed it ends no other's turn.
            done.set()
