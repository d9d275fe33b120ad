"""A console that interrupts what reports progress, as Ctrl-C does."""

import contextlib

from embed.console import Console
from embed.console import Progress


class StoppingConsole(Console):
    """Interrupts a build or a search after a number of views or trials.

    Args:
        number: Of those that are reported before it ends.
    """

    def __init__(self, number):
        super().__init__(is_quiet=True)
        self._num_left = number

    @contextlib.contextmanager
    def progress(self, task, total, unit, done=0):
        """Yields a progress that ends in an interrupt."""
        console = self

        class Stopping(Progress):
            def advance(self, amount=1, note=""):
                console._num_left -= amount
                if console._num_left <= 0:
                    raise KeyboardInterrupt

        yield Stopping()
