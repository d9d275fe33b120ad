"""Splits in the syntax of TFDS and Hugging Face: `train[:80%]`, `train+test`.

Both libraries parse it, and resolve it to numbered rows of their own splits.
"""

import dataclasses
import itertools
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from embed.errors import SourceError

SLICES = "`--train-split 'train[:80%]' --test-split 'train[80%:]'`"


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some examples of a split of a dataset, one after the other.

    Args:
        split: What the dataset calls it.
        start: Number of the first example.
        stop: Number behind the last.
    """

    split: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def resolve_splits(
    dataset: str,
    split_names: Mapping[str, str],
    lengths: Mapping[str, int],
    parse: Callable[[str], Iterable[Any]],
) -> dict[str, list[Piece]]:
    """Returns the pieces that make up train and test.

    Args:
        dataset: Name of the dataset, for errors.
        split_names: What was asked for, e.g. `{"train": "train[:80%]", ...}`.
        lengths: Number of examples by split of the dataset.
        parse: What the library makes of it: absolute instructions, with
            `splitname`, `from_` and `to`.

    Raises:
        SourceError: If there is no such split, or the two have examples in
            common.
    """
    pieces = {
        split: _resolve(dataset, split, text, lengths, parse)
        for split, text in split_names.items()
    }
    for one, other in itertools.product(*pieces.values()):
        if one.split == other.split and (
            max(one.start, other.start) < min(one.stop, other.stop)
        ):
            raise SourceError(
                f"The train and the test split of {dataset} have examples of "
                f"{one.split!r} in common. Expected: none. Received: "
                f"{list(split_names.values())}. Name splits that are apart, "
                f"e.g. {SLICES}."
            )
    return pieces


def _resolve(
    dataset: str,
    split: str,
    text: str,
    lengths: Mapping[str, int],
    parse: Callable[[str], Iterable[Any]],
) -> list[Piece]:
    try:
        found = [
            Piece(
                part.splitname,
                part.from_ or 0,
                lengths[part.splitname] if part.to is None else part.to,
            )
            for part in parse(text)
        ]
    except (ValueError, KeyError, AssertionError) as error:
        raise _refuse(dataset, split, text, lengths) from error
    if not all(len(range(piece.start, piece.stop)) for piece in found):
        raise _refuse(dataset, split, text, lengths)
    return found


def _refuse(
    dataset: str, split: str, text: str, lengths: Mapping[str, int]
) -> SourceError:
    there = {name: f"{number:,}" for name, number in lengths.items()}
    return SourceError(
        f"The dataset {dataset} has no split {text!r} to take as {split}. "
        f"Expected: one of {sorted(there)}, or a part of one. Received: "
        f"{text!r}. Name another with `--{split}-split`, or both, e.g. "
        f"{SLICES}."
    )


def divide_rows(
    pieces: Sequence[Piece], rows: Sequence[int]
) -> Iterable[tuple[Piece, list[int]]]:
    """Yields the pieces that hold some rows, and the examples of each.

    Args:
        pieces: Of a split, in the order of its rows.
        rows: Row numbers of the split, ascending.
    """
    first, place = 0, 0
    for piece in pieces:
        examples = []
        while place < len(rows) and rows[place] < first + len(piece):
            examples.append(piece.start + rows[place] - first)
            place += 1
        if examples:
            yield piece, examples
        first += len(piece)
