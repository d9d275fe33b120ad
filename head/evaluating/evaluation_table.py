"""An evaluation as tables, for people."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from head.evaluating.metrics import TOP_5

NUM_WORST = 5  # Classes that are named; `--json` has all.
NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_per_class": "mean per class",
    "macro_f1": "macro F1",
    "nll": "negative log likelihood",
    "ece": "calibration error",
}


def format_evaluation(payload: dict[str, Any]) -> str:
    """Returns the figures as tables, of single classes the worst alone.

    Args:
        payload: What `head evaluate --json` prints.
    """
    parts = [_format_groups(payload["groups"]), _format_metrics(payload)]
    parts += _name_worst(payload["classes"])
    if payload["tta"]:
        parts.append(_format_differences(payload))
    if payload["seeds"]:
        parts.append(_format_seeds(payload))
    return "\n\n".join(parts)


def find_worst(shares: Mapping[str, float | None]) -> dict[str, float]:
    """Returns the classes of least accuracy, the least first.

    Args:
        shares: Accuracies by name; `None` of a class without images.
    """
    known = {name: of for name, of in shares.items() if of is not None}
    worst = sorted(known, key=known.__getitem__)[:NUM_WORST]
    return {name: known[name] for name in worst}


def _format_groups(groups: dict[str, Any]) -> str:
    rows = [["test images", "top-1", "95% interval", "images"]]
    for name, group in groups.items():
        low_and_high = _range(group["intervals"]["top1"], _percent)
        count = f"{group['num_images']:,}"
        rows.append([name, _percent(group["top1"]), low_and_high, count])
    return _lay_out(rows)


def _format_metrics(payload: dict[str, Any]) -> str:
    """Returns the other metrics, as trained and calibrated."""
    calibrated = payload["calibrated"] or {}
    heading = ["all images", "as trained", "95% interval"]
    if calibrated:
        heading.append(f"temperature {calibrated['temperature']:.3g}")
    rows = [heading]
    for name in _metrics_of(payload):
        write = _writer_of(name)
        interval = payload["intervals"].get(name)
        rows.append(
            [
                NAMES[name],
                write(payload[name]),
                _range(interval, write) if interval else "",
                write(calibrated[name]) if name in calibrated else "",
            ][: len(heading)]
        )
    by_chance = [
        _range(of["ece_if_calibrated"], _percent)
        for of in (payload, calibrated)
        if of
    ]
    rows.append(["  by chance alone", "", *by_chance])
    return _lay_out(rows)


def _name_worst(classes: dict[str, Any]) -> list[str]:
    """Returns a line with the classes of least accuracy, if there are more."""
    shares = {name: of["top1"] for name, of in classes.items()}
    if sum(of is not None for of in shares.values()) <= NUM_WORST:
        return []
    worst = find_worst(shares)
    named = ", ".join(f"{name} {_percent(of)}" for name, of in worst.items())
    return [f"least accurate: {named}"]


def _format_differences(payload: dict[str, Any]) -> str:
    tta = payload["tta"]
    rows = [[f"mean of {len(payload['views'])} views", "less one view"]]
    rows[0].append("95% interval")
    for name in _metrics_of(payload, "top1"):
        if name in tta["intervals"]:
            write = _points if _writer_of(name) is _percent else _signed
            difference = write(tta["differences"][name])
            low_and_high = _range(tta["intervals"][name], write)
            rows.append([NAMES[name], difference, low_and_high])
    return _lay_out(rows)


def _format_seeds(payload: dict[str, Any]) -> str:
    seeds = payload["seeds"]
    rows = [[f"{seeds['num_seeds']} seeds", "mean", "least to greatest"]]
    groups = {
        f"top-1, {name}": group["top1"]
        for name, group in seeds["groups"].items()
    }
    for words, of in groups.items():
        rows.append([words, _percent(of["mean"]), _spread(of, _percent)])
    for name in _metrics_of(payload):
        write, of = _writer_of(name), seeds[name]
        rows.append([NAMES[name], write(of["mean"]), _spread(of, write)])
    if seeds["tta"]:
        of = seeds["tta"]["differences"]["top1"]
        words = "top-1 less one view"
        rows.append([words, _points(of["mean"]), _spread(of, _points)])
    return _lay_out(rows)


def _metrics_of(payload: dict[str, Any], *first: str) -> list[str]:
    """Returns the metrics worth a line, after the `first`."""
    names = [name for name in NAMES if name != "top1"]
    if len(payload["classes"]) <= TOP_5:
        names.remove("top5")  # It is 1.
    return [*first, *names]


def _writer_of(name: str) -> Callable[[float], str]:
    return _number if name == "nll" else _percent


def _percent(share: float) -> str:
    return f"{share:.2%}"


def _number(value: float) -> str:
    return f"{value:.4f}"


def _points(share: float) -> str:
    return f"{100 * share:+.2f} points"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _range(ends: Sequence[float], write: Callable[[float], str]) -> str:
    """Returns both ends, with the unit once."""
    low, high = map(write, ends)
    return f"{low.removesuffix(' points').removesuffix('%')} to {high}"


def _spread(of: dict[str, float], write: Callable[[float], str]) -> str:
    return _range((of["min"], of["max"]), write)


def _lay_out(rows: Sequence[Sequence[str]]) -> str:
    """Lines the columns up, the first on the left, the others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(
                zip(row, widths, strict=True)
            )
        ).rstrip()
        for row in rows
    )
