"""A comparison as a table for people."""

from embed.memory import format_size
from embed.tables import render_table
from head.evaluating.intervals import Interval
from tune.comparing.record import CacheComparison
from tune.comparing.record import Contestant

NOTHING = ""
USUAL = "float32"  # As precision and as dtype.


def format_comparison(comparison: CacheComparison) -> str:
    """Returns a row a cache, in the order in which they were given."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("backbone", "px", "views"):
        table.add_column(name)
    columns = (
        *("accuracy %", "95 %", "seeds", "points", "95 %"),
        *("all views", "ridge", "features", "views/s", "size", "training"),
    )
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for found in comparison.caches:
        table.add_row(*_as_row(found))
    return "\n".join([*render_table(table), *_notes(comparison)])


def label(found: Contestant) -> str:
    """Returns what tells a cache from others: `keras:Tiny 96 px, 2 views`."""
    count = len(found.views)
    return (
        f"{_name_backbone(found)} {found.image_size[0]} px, "
        f"{count} view{'' if count == 1 else 's'}"
    )


def _name_backbone(found: Contestant) -> str:
    """Returns the backbone, and how it computed where that is not usual."""
    unusual = {found.precision, found.dtype} - {USUAL}
    return " ".join([found.backbone, *sorted(unusual)])


def _as_row(found: Contestant) -> list[str]:
    accuracies, rate = found.val_accuracies, found.views_per_second
    points = NOTHING, NOTHING
    if found.difference is not None and found.difference_interval is not None:
        points = (
            f"{100 * found.difference:+.2f}",
            _format_difference(found.difference_interval),
        )
    return [
        _name_backbone(found),
        str(found.image_size[0]),
        ",".join(found.views),
        _format_share(found.val_accuracy),
        _format_interval(found.interval),
        _format_interval((min(accuracies), max(accuracies))),
        *points,
        _format_share(found.val_accuracy_all_views),
        _format_share(found.ridge_accuracy),
        f"{found.feature_dim:,}",
        NOTHING if rate is None else f"{rate:,.0f}",
        format_size(found.num_bytes),
        f"{found.train_seconds:.1f} s",
    ]


def _format_share(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.2f}"


def _format_interval(interval: Interval) -> str:
    """Returns the ends in percent; a tenth is finer than they are sure."""
    return "-".join(f"{100 * end:.1f}" for end in interval)


def _format_difference(interval: Interval) -> str:
    return " to ".join(f"{100 * end:+.1f}" for end in interval)


def _notes(comparison: CacheComparison) -> list[str]:
    """Returns what the figures are of, and what they do not say."""
    caches = comparison.caches
    first = caches[0]
    notes = [
        f"Mean of {len(comparison.seeds)} seeds on {comparison.num_val:,} "
        f"validation images; points: from {label(first)}, image by image."
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
