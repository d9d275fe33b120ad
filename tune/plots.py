"""The picture of a search: the score against each hyperparameter."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from head.spec import HeadSpec
from tune.trials import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Hyperparameters and their scales, one panel each; of `zero or log` a number
# is the smallest value but 0, and 0 has a place of its own.
PANELS: dict[str, str | float] = {
    "head": "category",
    "normalization": "category",
    "learning_rate": "log",
    "schedule": "category",
    "warmup_epochs": "category",
    "epochs": "category",
    "temperature": "log",
    "hidden_units": "category",
    "dropout": "linear",
    "weight_decay": 1e-3,
    "label_smoothing": "linear",
    "mixup": 5e-2,
    "view_mixing": "category",
}
# Which only some heads have.
CONDITIONS = {"temperature": "cosine", "hidden_units": "hidden"}
ZERO_DECADES = 0.4  # The width of what is below the smallest value but 0.
SHORT_RANGE = 40  # Times: less than this has ticks within its decades.
ORDER_LABEL = "trial, in order"  # Of the last panel.
MIN_COLUMNS, MAX_COLUMNS = 2, 5  # Two have room for the legend.
PANEL_INCHES = (3.1, 2.6)
DOTS_PER_INCH = 110
FENCE = 1.5  # Interquartile ranges below the lower quartile (Tukey, 1977).
MARGIN = 0.06  # Of the scores' range, above and below.
SPREAD = 0.25  # Of trials of one category to each side, so that none is hidden.
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2  # Its multiples are spread evenly.
MEDIAN_WIDTH = 0.35  # Of the line of a category, to each side.
STYLES: dict[str, dict[str, Any]] = {
    "trial": {"c": "#4878a8", "s": 18, "alpha": 0.6},
    "reference recipe": {"c": "#444444", "s": 50, "marker": "D"},
    "far below": {"c": "#4878a8", "s": 30, "alpha": 0.6, "marker": "v"},
    "best": {"c": "none", "s": 110, "edgecolors": "#d1495b", "linewidths": 2},
}
MEDIAN_STYLE: dict[str, Any] = {
    "color": "#d98c2b",
    "linewidth": 2,
    "label": "median of trials",
}


def find_panels(trials: Sequence[TrialRecord]) -> dict[str, list[TrialRecord]]:
    """Returns what varied, and which of the trials have it.

    Args:
        trials: Completed ones; the reference recipe may be among them and
            does not count.
    """
    panels = {}
    for name in PANELS:
        having = [
            trial
            for trial in trials
            if CONDITIONS.get(name, "") in kind_of_head(trial.spec)
        ]
        searched = {
            _value_of(trial.spec, name)
            for trial in having
            if not trial.is_reference
        }
        if len(searched) > 1:
            panels[name] = having
    return panels


def kind_of_head(spec: HeadSpec) -> str:
    """Returns `dense`, `cosine`, `hidden` or `hidden, cosine`."""
    kinds = ["hidden"] if spec.hidden_units else []
    kinds += ["cosine"] if spec.temperature is not None else []
    return ", ".join(kinds) or "dense"


def draw_search(
    trials: Sequence[TrialRecord], path: Path, num_sampled: int | None = None
) -> None:
    """Draws the completed trials as a PNG, a panel for all that varied.

    Scores far below the others lie on the lower edge, or the rest could not
    be told apart.

    Args:
        trials: Best first.
        path: Where to; what is there is replaced.
        num_sampled: Images that were searched on, if they were a sample.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scored = [trial for trial in trials if trial.val_accuracy is not None]
    floor = _find_floor([trial.val_accuracy or 0.0 for trial in scored])
    panels = find_panels(scored)
    num_columns = min(max(MIN_COLUMNS, len(panels) + 1), MAX_COLUMNS)
    num_rows = math.ceil((len(panels) + 1) / num_columns)
    size = PANEL_INCHES[0] * num_columns, PANEL_INCHES[1] * num_rows
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(num_rows, num_columns, sharey=True).ravel()
        for (name, having), axes in zip(panels.items(), grid, strict=False):
            _scatter(axes, having, _place(axes, having, name), floor, scored[0])
            axes.set_xlabel(name.replace("_", " "))
        numbers = [-1 if t.is_reference else int(t.trial_id) for t in scored]
        _scatter(grid[len(panels)], scored, numbers, floor, scored[0])
        grid[len(panels)].set_xlabel(ORDER_LABEL)
        for axes in grid[: len(panels) + 1]:
            axes.yaxis.set_major_formatter("{x:.1%}")
            axes.tick_params("y", labelleft=True)
        for axes in grid[len(panels) + 1 :]:
            axes.set_axis_off()
        sample = f" of a sample of {num_sampled:,}" if num_sampled else ""
        figure.supylabel(f"accuracy on the validation images{sample}")
        found = {
            label: handle
            for axes in grid
            for handle, label in zip(
                *axes.get_legend_handles_labels(), strict=True
            )
        }
        figure.legend(
            found.values(), found, loc="outside upper center", ncols=len(found)
        )
        figure.savefig(path)


def _value_of(spec: HeadSpec, name: str) -> Any:
    return kind_of_head(spec) if name == "head" else getattr(spec, name)


def _find_floor(scores: Sequence[float]) -> float:
    """Returns the lowest score that is drawn at its place."""
    low, high = np.percentile(scores, [25, 75])
    fence = low - FENCE * (high - low)
    return min(score for score in scores if score >= fence)


def _place(
    axes: "Axes", trials: Sequence[TrialRecord], name: str
) -> list[float]:
    """Scales the axis of a hyperparameter.

    Returns:
        Where the trials are on it.
    """
    values = [_value_of(trial.spec, name) for trial in trials]
    scale = PANELS[name]
    if scale == "category":
        return _place_in_categories(axes, trials, values)
    if scale == "linear":
        return values
    ticks = _find_ticks([value for value in values if value])
    if scale == "log":
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=scale, linscale=ZERO_DECADES)
        axes.set_xlim(left=-float(scale) / 2)
        ticks = [0.0, *ticks]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    return values


def _find_ticks(values: Sequence[float]) -> list[float]:
    """Returns round numbers within the range of some that are above 0."""
    low, high = min(values), max(values)
    is_short = high / low < SHORT_RANGE
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    ticks = [
        digit * 10.0**decade
        for decade in (*decades, decades.stop)
        for digit in ((1, 2, 5) if is_short else (1,))
    ]
    return [tick for tick in ticks if low <= tick <= high]


def _place_in_categories(
    axes: "Axes", trials: Sequence[TrialRecord], values: Sequence[Any]
) -> list[float]:
    """Puts trials side by side, and draws the median of each category."""
    categories = sorted(set(values))
    names = {False: "no", True: "yes"}
    labels = [names[c] if isinstance(c, bool) else str(c) for c in categories]
    axes.set_xticks(range(len(categories)), labels)
    axes.set_xlim(-0.5, len(categories) - 0.5)
    places = []
    for trial, value in zip(trials, values, strict=True):
        place = float(categories.index(value))
        if not trial.is_reference:
            place += SPREAD * (2 * (int(trial.trial_id) * GOLDEN_RATIO % 1) - 1)
        places.append(place)
    for place, category in enumerate(categories):
        scores = [
            trial.val_accuracy or 0.0
            for trial, value in zip(trials, values, strict=True)
            if value == category and not trial.is_reference
        ]
        if scores:
            ends = place - MEDIAN_WIDTH, place + MEDIAN_WIDTH
            axes.plot(ends, [np.median(scores)] * 2, **MEDIAN_STYLE)
    return places


def _scatter(
    axes: "Axes",
    trials: Sequence[TrialRecord],
    places: Sequence[float],
    floor: float,
    best: TrialRecord,
) -> None:
    top = best.val_accuracy or 0.0
    margin = MARGIN * (top - floor) or MARGIN
    groups: dict[str, list[tuple[float, float]]] = {name: [] for name in STYLES}
    for place, trial in zip(places, trials, strict=True):
        score = trial.val_accuracy or 0.0
        name = "reference recipe" if trial.is_reference else "trial"
        if score < floor:
            name, score = "far below", floor - margin
        groups[name].append((place, score))
        if trial is best:
            groups["best"].append((place, score))
    for name, points in groups.items():
        if points:
            xs, ys = zip(*points, strict=True)
            axes.scatter(xs, ys, label=name, clip_on=False, **STYLES[name])
    axes.set_ylim(floor - margin, top + margin)
