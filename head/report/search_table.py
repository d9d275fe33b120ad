"""The trials of the search that chose a run's spec, as a table.

The files of a search are read as plain data: who made them is none of a
head's business.
"""

import csv
import dataclasses
import json
from pathlib import Path

from embed.artifacts import SEARCHES
from embed.artifacts import newest_first
from embed.errors import PipelineError
from head.run import Run
from head.spec import BEST
from head.spec import load_spec

TABLE, SUMMARY = "trials.csv", "search.json"
MAX_ROWS = 15  # The best; the file has the others.
# Columns that say nothing to whoever reads one page of one cache.
LEFT_OUT = {"status", "fingerprint"}
COMPLETED, HYPERBAND = "completed", "hyperband"
# What two trainings of the same head may differ in.
OUTCOMES = {"rank", "trial_id", "epochs", "val_accuracy", "val_loss", "seconds"}


@dataclasses.dataclass(frozen=True)
class SearchTable:
    """A search, for people.

    Args:
        directory: Its folder.
        columns: Names of the columns.
        rows: Texts by row, the best first.
        num_rows: How many there are in all.
        seconds: It took.
        epochs: Of all trainings of finished trials, one for each fold.
        oracle: What proposed the trials.
        num_sampled: Pictures that they were trained and scored on, if they
            were a sample; `None` for all.
    """

    directory: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    num_rows: int
    seconds: float
    epochs: int
    oracle: str
    num_sampled: int | None


def find_search_table(artifacts_dir: Path, run: Run) -> SearchTable | None:
    """Returns the newest search whose winner the run was trained from."""
    for path in newest_first(artifacts_dir, f"{SEARCHES}/*/{BEST}"):
        try:
            # Its `chosen_on` says the same of both; a run's leaves it out.
            if load_spec(path).model_dump() == run.record.spec.model_dump():
                return _read(path.parent)
        except (PipelineError, OSError, ValueError, KeyError, TypeError):
            continue  # Of another version: it serves no table.
    return None


def _read(directory: Path) -> SearchTable:
    summary = json.loads((directory / SUMMARY).read_text("utf-8"))
    spec = summary["spec"]
    with (directory / TABLE).open(encoding="utf-8", newline="") as file:
        trials = list(csv.DictReader(file))
    shown = trials[:MAX_ROWS]
    columns = tuple(
        name
        for name in (trials[0] if trials else {})
        if name not in LEFT_OUT and any(trial[name] for trial in shown)
    )
    return SearchTable(
        directory=directory,
        columns=columns,
        rows=[
            tuple(_format(name, trial[name]) for name in columns)
            for trial in shown
        ],
        num_rows=len(trials),
        seconds=float(summary["seconds"]),
        epochs=_count_epochs(trials, spec["oracle"]) * spec.get("folds", 1),
        oracle=str(spec["oracle"]),
        num_sampled=spec.get("rows"),
    )


def _count_epochs(trials: list[dict[str, str]], oracle: str) -> int:
    """Returns how many epochs the finished trials of a search took.

    The same head with fewer epochs is what Hyperband went on with.
    """
    epochs: dict[tuple[str, ...], int] = {}
    for trial in trials:
        if trial["status"] == COMPLETED and trial["epochs"]:
            names = trial.keys() - OUTCOMES
            if oracle != HYPERBAND:
                names = {"trial_id"}
            head = tuple(trial[name] for name in sorted(names))
            epochs[head] = max(epochs.get(head, 0), int(trial["epochs"]))
    return sum(epochs.values())


def _format(name: str, text: str) -> str:
    """Returns a measured figure as people read it, all else as it is."""
    if not text:
        return "\N{EN DASH}"
    if name == "val_accuracy":
        return f"{float(text):.2%}"
    if name == "val_loss":
        return f"{float(text):.4f}"
    if name == "seconds":
        return f"{float(text):.1f} s"
    return text
