"""Measuring: several ways to the same end, in turn, and what came of it.

Ways alternate, so that a machine that is slower for a minute is so for all of
them: the figure to quote is the median of the ratios within each round. Rounds
in which the host of a virtual machine took much of it away are left out.
"""

import argparse
import dataclasses
import json
import logging
import multiprocessing
import os
import statistics
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks.machine import ProcessorTime
from benchmarks.machine import describe_machine
from benchmarks.machine import list_versions
from embed.startup import LOG_LEVEL_FATAL
from embed.startup import LOG_LEVEL_VARIABLE

NUM_ROUNDS = 5
MOST_STOLEN = 0.05  # Of the processor time asked for, in a round that counts.
WARM_UP = -1  # Number of the round in front of them, which counts for nothing.
SMALL_DIVISOR = 8  # Of all sizes, with `--small`.

Values = dict[str, float]  # By quantity, e.g. "seconds".
Way = Callable[[int], Values]  # Takes the number of the round.


@dataclasses.dataclass(frozen=True)
class Options:
    """How a benchmark is run.

    Args:
        num_rounds: Measured rounds.
        is_small: Whether sizes are an eighth, to try the program out.
    """

    num_rounds: int = NUM_ROUNDS
    is_small: bool = False

    def shrink(self, count: int) -> int:
        """Returns a count as it is used."""
        return count // SMALL_DIVISOR if self.is_small else count

    def describe(self) -> str:
        """Returns how it was measured, for the head of a table."""
        if self == Options():
            return f"medians of {NUM_ROUNDS} rounds"
        sizes = " and small sizes" if self.is_small else ""
        return (
            f"TRIED OUT, no figures to quote: medians of {self.num_rounds} "
            f"of {NUM_ROUNDS} rounds{sizes}"
        )


def parse_options(description: str | None) -> Options:
    """Reads the command line of a benchmark; keeps TensorFlow quiet."""
    parser = argparse.ArgumentParser(description=description)
    add_options(parser)
    return read_options(parser.parse_args())


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what every benchmark can be told; keeps TensorFlow quiet."""
    os.environ.setdefault(LOG_LEVEL_VARIABLE, LOG_LEVEL_FATAL)
    parser.add_argument(
        "--rounds", type=int, default=NUM_ROUNDS, help="default: %(default)s"
    )
    parser.add_argument(
        "--small", action="store_true", help="an eighth of all sizes"
    )


def read_options(arguments: argparse.Namespace) -> Options:
    """Returns what a benchmark was told of that."""
    return Options(max(arguments.rounds, 1), arguments.small)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Some values of one quantity, over the rounds."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Summary":
        """Summarises at least one value."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    def format(self, digits: int) -> str:
        """Returns `2.91 (2.84-3.02)`, or `0.14 (-0.82 to 0.27)`."""
        median, low, high = (
            f"{value:,.{digits}f}" for value in dataclasses.astuple(self)
        )
        between = " to " if self.min < 0 else "-"
        return f"{median} ({low}{between}{high})"


@dataclasses.dataclass(frozen=True)
class Rounds:
    """What was measured, round by round.

    Args:
        values: By round and way the values of its quantities.
        stolen: By round the share of the processor time asked for that the
            host of a virtual machine gave to others.
        left_out: The same of the rounds that are left out for it.
    """

    values: Sequence[Mapping[str, Values]]
    stolen: Sequence[float] = ()
    left_out: Sequence[float] = ()

    def of(self, way: str, quantity: str) -> list[float]:
        """Returns the values of a way in the order of the rounds."""
        return [of_ways[way][quantity] for of_ways in self.values]

    def ratio(self, above: str, below: str, quantity: str) -> Summary:
        """Returns how many times one way is another, within each round."""
        return divide(self.of(above, quantity), self.of(below, quantity))

    def difference(
        self, way: str, quantity: str, other_way: str, other_quantity: str
    ) -> Summary:
        """Returns by how much one is above the other, within each round."""
        pairs = zip(
            self.of(way, quantity),
            self.of(other_way, other_quantity),
            strict=True,
        )
        return Summary.of(a - b for a, b in pairs)


def measure_in_turn(ways: Mapping[str, Way], num_rounds: int) -> Rounds:
    """Runs all ways in each round, after a round to warm up.

    As long as the host takes more than `MOST_STOLEN` away more rounds are run,
    twice as many at most. Those count in which it took the least, whatever
    came of them.
    """
    rounds: list[tuple[float, Mapping[str, Values]]] = []
    for number in range(WARM_UP, 2 * num_rounds):
        began = ProcessorTime.read()
        values = {name: run(number) for name, run in ways.items()}
        if number != WARM_UP:
            rounds.append((ProcessorTime.read().stolen_since(began), values))
        if sum(share <= MOST_STOLEN for share, _ in rounds) == num_rounds:
            break
    order = sorted(range(len(rounds)), key=lambda number: rounds[number][0])
    counted = [rounds[number] for number in sorted(order[:num_rounds])]
    return Rounds(
        [values for _, values in counted],
        [share for share, _ in counted],
        [rounds[number][0] for number in sorted(order[num_rounds:])],
    )


def divide(above: Sequence[float], below: Sequence[float]) -> Summary:
    """Summarises the ratios of two quantities, round by round."""
    return Summary.of(a / b for a, b in zip(above, below, strict=True))


def start_worker(
    initializer: Callable[[], object] | None = None,
) -> ProcessPoolExecutor:
    """Returns a process that waits for calls, with libraries of its own.

    What TensorFlow is told of threads holds for a whole process. It is idle
    between calls, and ends with the context.
    """
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare_worker,
        initargs=(initializer,),
    )


def _prepare_worker(initializer: Callable[[], object] | None) -> None:
    for name in ("absl", "tensorflow"):  # As our commands do.
        logging.getLogger(name).setLevel(logging.ERROR)
    if initializer is not None:
        initializer()


def print_table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, the first one being the header, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(title)
    for first, *others in rows:
        cells = map(str.rjust, others, widths[1:])
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())


def print_result(
    benchmark: str,
    figures: Mapping[str, Any],
    rounds: Rounds,
    options: Options,
    *,
    threads: str,
    packages: Sequence[str] = (),
) -> None:
    """Prints the JSON line: figures, what they come from, and where.

    Before it, what a host took away from all ways.
    """
    if any([*rounds.stolen, *rounds.left_out]):
        stolen = Summary.of(100 * share for share in rounds.stolen)
        text = f"the host gave {stolen.format(1)} % of the processors to others"
        if rounds.left_out:
            shares = ", ".join(f"{100 * s:.1f}" for s in rounds.left_out)
            text += f"; left out are rounds with {shares} %"
        print(text)
    result = {
        "benchmark": benchmark,
        **figures,
        "num_rounds": options.num_rounds,
        "is_small": options.is_small,
        "rounds": rounds.values,
        "stolen": rounds.stolen,
        "stolen_in_rounds_left_out": rounds.left_out,
        "machine": describe_machine(),
        "threads": threads,
        "versions": list_versions(packages),
    }
    print(json.dumps(result, default=dataclasses.asdict), flush=True)
