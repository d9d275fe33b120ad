"""The trials of a search as rows, as CSV and as a table for people."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from tune.results import SearchResult
from tune.trials import TrialRecord

MAX_SHOWN = 20  # Rows of the table for people; the CSV has all of them.
MAX_WIDTH = 200  # Characters: wider than the table is, so that none is cut.
COLUMNS = {
    "rank": "rank",
    "trial_id": "trial",
    "val_accuracy": "val\naccuracy",
    "val_loss": "val\nloss",
    "seconds": "seconds",
    "normalization": "normal-\nization",
    "learning_rate": "learning\nrate",
    "dropout": "dropout",
    "weight_decay": "weight\ndecay",
    "label_smoothing": "label\nsmoothing",
    "epochs": "epochs",
    "hidden_units": "hidden\nunits",
}


def trial_rows(trials: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Returns one flat row a trial, in the order given, for CSV and JSON."""
    return [
        {
            "rank": rank,
            **trial.model_dump(mode="json", exclude={"spec", "message"}),
            **trial.spec.model_dump(mode="json"),
            "message": trial.message,
        }
        for rank, trial in enumerate(trials, 1)
    ]


def format_csv(trials: Sequence[TrialRecord]) -> str:
    """Returns the rows as CSV with a header."""
    rows = trial_rows(trials)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def format_table(result: SearchResult) -> str:
    """Returns the best trials as a table for people."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    rows = trial_rows(result.trials[:MAX_SHOWN])
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(_format(name, row[name]) for name in COLUMNS))
    text = io.StringIO()
    Console(file=text, width=MAX_WIDTH).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    if len(result.trials) > len(rows):
        lines.append(f"... and {len(result.trials) - len(rows)} more")
    return "\n".join(lines)


def describe_outcome(result: SearchResult) -> str:
    """Returns what the search gained over the reference recipe."""
    best, reference = result.trials[0], result.summary.reference_score
    if reference is None:
        return "The reference recipe diverged on this cache."
    if best.is_reference:
        others = [t for t in result.trials if not t.is_reference]
        score = max((t.val_accuracy or 0.0 for t in others), default=0.0)
        return (
            "The search did not beat the reference recipe, which stays the "
            f"best: {reference:.2%} of the validation images, the best trial "
            f"{score:.2%}. Try more trials with `--max-trials`."
        )
    return (
        f"The best trial is right on {result.summary.best_score:.2%} of the "
        f"validation images, the reference recipe on {reference:.2%}."
    )


def _format(name: str, value: Any) -> str:
    if value is None:
        return "failed"
    if name == "val_accuracy":
        return f"{value:.2%}"
    if name in ("seconds", "val_loss"):
        return f"{value:.3g}"
    return f"{value:g}" if isinstance(value, float) else str(value)
