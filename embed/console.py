"""What a command prints: results on stdout, everything else on stderr.

Keras and KerasTuner print on stdout whatever they are told, so that a command
takes the real stdout for its result and points file descriptor 1 at stderr.
Exit codes: 0 done, 1 an error the user can act on, 2 usage, 130 interrupted.
"""

import contextlib
import errno
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from typing import Any

import typer

from embed.errors import PipelineError
from embed.memory import parse_size
from embed.seeds import MAX_SEED
from embed.startup import own_process

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
NUM_REPORTS = 10  # Without a terminal, a line every 10 %.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM}
DISK_ERRORS |= {errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EFBIG}
DISK_ERRORS |= {errno.EISDIR, errno.ENAMETOOLONG}
DISK_ERRORS |= {errno.EIO, errno.ESTALE}  # Bad sectors; a share that went.
BLOCKS = re.compile(r"\.blocks(/|$)")  # In a path that `--blocks` has named.


def parse_size_option(text: str) -> int:
    """Makes a bad size an error of usage."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


ArtifactsOption = Annotated[
    Path, typer.Option("--artifacts", help="Folder of everything written.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", help="Feature cache; default: the newest."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=MAX_SEED, help="Random seed.")
]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Larger pictures are not decoded; default: 89,478,485."
    ),
]
MemoryLimitOption = Annotated[
    int | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        parser=parse_size_option,
        help="Memory for features, e.g. 500M or 8G; a larger cache is "
        "streamed. Default: half of what is free.",
    ),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Do it again, replacing the old.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout.")
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show what libraries log.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show results and errors only.")
]
DEFAULT_ARTIFACTS = Path("artifacts")


def create_app(help_text: str) -> typer.Typer:
    """Returns an application whose errors and help look like all others'."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )


class Console:
    """The two streams of one command.

    Args:
        as_json: Whether the result is one JSON object.
        is_quiet: Whether progress and remarks are left out.
    """

    def __init__(
        self, *, as_json: bool = False, is_quiet: bool = False
    ) -> None:
        self.as_json = as_json
        self.is_quiet = is_quiet
        self._stdout = sys.stdout

    def say(self, text: str) -> None:
        """Prints a remark on stderr."""
        if not self.is_quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    def result(self, payload: dict[str, Any], text: str) -> None:
        """Prints the result on stdout: the payload as JSON, or the text."""
        if self.as_json:
            text = json.dumps(payload, default=str)
        print(text, file=self._stdout, flush=True)

    @contextlib.contextmanager
    def claim_stdout(self) -> Iterator[None]:
        """Keeps the real stdout for `result`; all other writes go to stderr."""
        sys.stdout.flush()
        try:
            real = os.dup(1)
        except OSError:  # Closed by the caller: nothing to protect.
            yield
            return
        os.dup2(2, 1)
        self._stdout = os.fdopen(os.dup(real), "w", encoding="utf-8")
        try:
            yield
        finally:
            sys.stdout.flush()
            self._stdout.close()
            os.dup2(real, 1)
            os.close(real)

    @contextlib.contextmanager
    def progress(
        self, task: str, total: int, unit: str, done: int = 0
    ) -> Iterator["Progress"]:
        """Shows how far a task is, how fast it goes and how long it takes.

        Args:
            task: What is going on, e.g. `"Embedding"`.
            total: Number of units in all.
            unit: Plural noun, e.g. `"views"`.
            done: Units that an earlier call finished.
        """
        with contextlib.ExitStack() as stack:
            if self.is_quiet:
                yield Progress()
            elif sys.stderr.isatty():
                yield stack.enter_context(_bar(task, total, unit, done))
            else:
                yield _LineProgress(self, task, total, unit, done)


class Progress:
    """Receives how much was done; shows nothing."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Reports that `amount` more units are done.

        Args:
            amount: Number of units.
            note: A few words that replace the last ones, e.g. the best score.
        """


class _LineProgress(Progress):
    """One line every 10 %, for logs."""

    def __init__(
        self, console: Console, task: str, total: int, unit: str, done: int
    ) -> None:
        self._console, self._task, self._unit = console, task, unit
        self._total, self._start, self._done = max(total, 1), done, done
        self._began = time.monotonic()
        self._num_reports = NUM_REPORTS * done // self._total

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Prints a line when another tenth is done."""
        self._done += amount
        num_reports = NUM_REPORTS * self._done // self._total
        if num_reports <= self._num_reports:
            return
        self._num_reports = num_reports
        share = self._done / self._total
        seconds = time.monotonic() - self._began
        rate = (self._done - self._start) / max(seconds, 1e-9)
        left = (self._total - self._done) / max(rate, 1e-9)
        self._console.say(
            f"{self._task}: {self._done:,} of {self._total:,} {self._unit} "
            f"({share:.0%}), {rate:,.1f}/s, {format_seconds(left)} left"
            f"{f', {note}' if note else ''}"
        )


@contextlib.contextmanager
def _bar(task: str, total: int, unit: str, done: int) -> Iterator[Progress]:
    """A bar with rate and time left, for terminals."""
    from rich import progress
    from rich.console import Console as RichConsole

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn(unit + " {task.fields[rate]}"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}"),
    )

    class Bar(Progress):
        def advance(self, amount: int = 1, note: str = "") -> None:
            nonlocal done
            done += amount
            rate = (done - first) / max(time.monotonic() - began, 1e-9)
            bars.update(handle, advance=amount, rate=f"{rate:,.1f}/s")
            if note:
                bars.update(handle, note=note)

    with progress.Progress(*columns, console=RichConsole(stderr=True)) as bars:
        first, began = done, time.monotonic()
        handle = bars.add_task(
            task, total=total, completed=done, rate="", note=""
        )
        yield Bar()


@contextlib.contextmanager
def command(
    *, as_json: bool = False, is_verbose: bool = False, is_quiet: bool = False
) -> Iterator[Console]:
    """Runs the body of a command: streams, logs, errors and exit codes.

    Raises:
        typer.Exit: With the exit code of what went wrong.
    """
    own_process(is_verbose=is_verbose)
    console = Console(as_json=as_json, is_quiet=is_quiet)
    try:
        with console.claim_stdout():
            yield console
    except PipelineError as error:
        raise _exit(error, EXIT_ERROR) from error
    except KeyboardInterrupt as error:
        text = "Interrupted. What is finished is kept: run the command again."
        raise _exit(text, EXIT_INTERRUPTED) from error
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        path = error.filename or "A file"
        option = "--blocks" if BLOCKS.search(str(path)) else "--artifacts"
        text = (
            f"{path} cannot be used: {error.strerror}. "
            "What is finished is kept. Expected: room on the disk, and files "
            "that can be read and written. See to it, or choose another "
            f"folder with `{option} DIR`, and run the command again."
        )
        raise _exit(text, EXIT_ERROR) from error


def format_seconds(seconds: float) -> str:
    """Returns `8 s`, `2 min 5 s` or `3 h 4 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _exit(error: object, code: int) -> typer.Exit:
    line = " ".join(str(error).split())
    print(f"error: {line}", file=sys.stderr, flush=True)  # noqa: T201
    return typer.Exit(code)
