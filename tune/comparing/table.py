"""A comparison as a table for people."""

import io

from embed.memory import format_size
from head.evaluating.intervals import Interval
from tune.comparing.record import CacheComparison
from tune.comparing.record import Contestant

TABLE_WIDTH = 200  # Characters: names and handles are never cut.
NOTHING = ""


def format_comparison(comparison: CacheComparison) -> str:
    """Returns a row a cache, in the order in which they were given."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("backbone", "px", "views"):
        table.add_column(name)
    columns = (
        *("accuracy %", "(95 %)", "seeds from-to", "to the first", "(95 %)"),
        *("all views", "ridge", "features", "views/s", "size", "training"),
    )
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for found in comparison.caches:
        table.add_row(*_as_row(found))
    text = io.StringIO()
    Console(file=text, width=TABLE_WIDTH).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join([*lines, *_notes(comparison)])


def label(found: Contestant) -> str:
    """Returns backbone, size and views, e.g. `keras:Tiny 96 px, 2 views`."""
    count = len(found.views)
    return (
        f"{found.backbone} {found.image_size[0]} px, "
        f"{count} view{'' if count == 1 else 's'}"
    )


def _as_row(found: Contestant) -> list[str]:
    rate = found.views_per_second
    return [
        found.backbone,
        str(found.image_size[0]),
        ",".join(found.views),
        f"{found.val_accuracy:.2%}".rstrip("%"),
        _format_interval(found.interval),
        _format_interval(
            (min(found.val_accuracies), max(found.val_accuracies))
        ),
        NOTHING
        if found.difference is None
        else f"{100 * found.difference:+.2f}",
        NOTHING
        if found.difference_interval is None
        else _format_interval(found.difference_interval, "+"),
        f"{found.val_accuracy_all_views:.2%}".rstrip("%"),
        NOTHING
        if found.ridge_accuracy is None
        else f"{found.ridge_accuracy:.2%}".rstrip("%"),
        f"{found.feature_dim:,}",
        NOTHING if rate is None else f"{rate:,.0f}",
        format_size(found.num_bytes),
        f"{found.train_seconds:.1f} s",
    ]


def _format_interval(interval: Interval, sign: str = "") -> str:
    low, high = (f"{100 * end:{sign}.2f}" for end in interval)
    return f"{low} to {high}"


def _notes(comparison: CacheComparison) -> list[str]:
    """Returns what the figures are of, and what they do not say."""
    caches = comparison.caches
    first = caches[0]
    notes = [
        f"{comparison.num_val:,} validation images, {len(comparison.seeds)} "
        f"seeds; compared with {label(first)}, image by image."
    ]
    hosts = {found.host for found in caches if found.views_per_second}
    if len(hosts) > 1:
        notes.append(f"The rates are of several machines: {sorted(hosts)}.")
    engines = {found.engine for found in caches if found.views_per_second}
    if len(engines) > 1:
        notes.append(f"The rates are of several engines: {sorted(engines)}.")
    unclear = [
        label(found)
        for found in caches
        if found.difference_interval is not None
        and found.difference_interval[0] <= 0 <= found.difference_interval[1]
    ]
    if unclear:
        notes.append(
            "Not told apart from the first by these images: "
            f"{'; '.join(unclear)}."
        )
    return notes
