"""A console that interrupts a build, as Ctrl-C does."""

import contextlib

from embed.console import Console
from embed.console import Progress


class StoppingConsole(Console):
    """Interrupts the pass after a number of views.

    Args:
        num_views: Views that are reported before it ends.
    """

    def __init__(self, num_views):
        super().__init__(is_quiet=True)
        self._num_left = num_views

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
