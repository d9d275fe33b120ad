"""The table of a search for people: the best trials and baselines."""

import textwrap
from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

from embed.tables import render_table
from head.spec import HeadSpec
from tune.baselines import BaselineResult
from tune.report import BASELINE
from tune.report import rank_all
from tune.results import SearchResult
from tune.seeds import SeedScores
from tune.trials import TrialRecord

if TYPE_CHECKING:
    from rich.table import Table

MAX_SHOWN = 20  # Rows; the CSV has all of them.
MAX_WIDTH = 120  # Characters.
TRAIN = "python -m head train"
GAPS = (2, 1)  # Between columns: the first with which the table fits.

HEAD = "head"  # Where baselines have their name: always there.
WORDS = {HEAD, "normal-\nization", "schedule"}  # All else is numbers.
# What is shown of a head, in as few characters as tell heads apart; the CSV
# has every digit. Of linear ranges decimals, of logarithmic ones digits.
HYPERPARAMETERS: dict[str, Callable[[HeadSpec], str]] = {
    HEAD: lambda spec: describe_head(spec),
    "normal-\nization": lambda spec: spec.normalization,
    "learning\nrate": lambda spec: f"{spec.learning_rate:.3g}",
    "schedule": lambda spec: spec.schedule,
    "warm-\nup": lambda spec: str(spec.warmup_epochs),
    "epochs": lambda spec: str(spec.epochs),
    "drop-\nout": lambda spec: f"{spec.dropout:.2f}",
    "weight\ndecay": lambda spec: f"{spec.weight_decay:.2g}",
    "label\nsmooth-\ning": lambda spec: f"{spec.label_smoothing:.2f}",
    "mixup": lambda spec: f"{spec.mixup:.2g}",
    "mixed\nviews": lambda spec: "yes" if spec.view_mixing else "no",
}


def format_table(result: SearchResult) -> str:
    """Returns the best trials and baselines as a table.

    What is the same in all trials is said below it.
    """
    ranked = rank_all(result.trials, result.baselines)
    shown = ranked[:MAX_SHOWN]
    found = {
        heading: {describe(trial.spec) for trial in result.trials}
        for heading, describe in HYPERPARAMETERS.items()
    }
    varied = [
        heading
        for heading, values in found.items()
        if len(values) > 1 or heading == HEAD
    ]
    for gap in GAPS:
        table = _create_table(shown, varied, gap)
        # As wide as any table is, so that nothing is cut.
        lines = render_table(table, len(GAPS) * MAX_WIDTH)
        if max(map(len, lines)) <= MAX_WIDTH:
            break
    if len(ranked) > len(shown):
        lines.append(f"... and {len(ranked) - len(shown)} more")
    same = [
        f"{_in_one_line(heading)} {next(iter(values))}"
        for heading, values in found.items()
        if heading not in varied
    ]
    if same:
        text = f"The same in all trials: {', '.join(same)}."
        lines += textwrap.wrap(text, MAX_WIDTH)
    if result.summary.spec.rows is not None:
        lines.append(
            f"Searched on a sample of {result.summary.num_images:,} of the "
            f"{result.summary.num_all_images:,} images of the train split; "
            f"`{TRAIN}` trains on all."
        )
    lines += format_seeds(result.seeds)
    return "\n".join(lines)


def format_seeds(seeds: Sequence[SeedScores]) -> list[str]:
    """Returns how the best trials do with several seeds, as lines."""
    if not seeds:
        return []
    most = max(len(scores.val_accuracies) for scores in seeds)
    lines = ["", f"The best trials with {most} seeds: mean and range"]
    for scores in seeds:
        low, high = scores.range
        number = len(scores.val_accuracies)
        lines.append(
            f"{scores.trial_id:>9}  {scores.mean:.2%} ({low:.2%} to {high:.2%})"
            + (f", {number} of them" if number < most else "")
        )
    return lines


def describe_head(spec: HeadSpec) -> str:
    """Returns `dense`, `cosine 0.05` (temperature) or `hidden 64` (width)."""
    parts = [f"hidden {spec.hidden_units}"] if spec.hidden_units else []
    if spec.temperature is not None:
        parts.append(f"cosine {spec.temperature:.2g}")
    return ", ".join(parts) or "dense"


def _create_table(
    ranked: Sequence[TrialRecord | BaselineResult],
    headings: Sequence[str],
    gap: int,
) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # The box has a space of its own between columns.
    padding = (0, gap - 1, 0, 0)
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=padding)
    for heading in ("rank", "trial", "val\naccuracy", "val\nloss", *headings):
        table.add_column(
            heading,
            justify="left" if heading in WORDS else "right",
            no_wrap=True,
        )
    for rank, entry in enumerate(ranked, 1):
        accuracy, loss = entry.val_accuracy, entry.val_loss
        table.add_row(
            str(rank),
            entry.trial_id if isinstance(entry, TrialRecord) else BASELINE,
            "failed" if accuracy is None else f"{accuracy:.2%}",
            "" if loss is None else f"{loss:.3f}",
            *_describe(entry, headings),
        )
    return table


def _describe(
    entry: TrialRecord | BaselineResult, headings: Sequence[str]
) -> list[str]:
    """Returns the hyperparameters; of a baseline name and setting as head."""
    if isinstance(entry, TrialRecord):
        return [HYPERPARAMETERS[heading](entry.spec) for heading in headings]
    value = entry.setting.partition("=")[2]
    name = f"{entry.name.replace('_', ' ')} {value}".rstrip()
    return [name if heading == HEAD else "" for heading in headings]


def _in_one_line(heading: str) -> str:
    return heading.replace("-\n", "").replace("\n", " ")
