"""The picture of a search: the score against each hyperparameter."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from tune.trials import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Hyperparameters and their scales, one panel each.
PANELS = {
    "learning_rate": "log",
    "dropout": "linear",
    "weight_decay": "symlog",
    "label_smoothing": "linear",
    "epochs": "linear",
    "hidden_units": "category",
    "normalization": "category",
}
ORDER_LABEL = "trial, in order"  # Of the last panel.
NUM_COLUMNS = 4
PANEL_INCHES = (3.1, 2.6)
DOTS_PER_INCH = 110
LINEAR_BELOW = 1e-3  # Of `symlog`: the smallest weight decay but 0.
FENCE = 1.5  # Interquartile ranges below the lower quartile (Tukey, 1977).
MARGIN = 0.06  # Of the scores' range, above and below.
STYLES: dict[str, dict[str, Any]] = {
    "trial": {"c": "#4878a8", "s": 18, "alpha": 0.6},
    "reference recipe": {"c": "#444444", "s": 50, "marker": "D"},
    "far below": {"c": "#4878a8", "s": 30, "alpha": 0.6, "marker": "v"},
    "best": {"c": "none", "s": 110, "edgecolors": "#d1495b", "linewidths": 2},
}


def draw_search(trials: Sequence[TrialRecord], path: Path) -> None:
    """Draws the completed trials as a PNG.

    Scores far below the others lie on the lower edge, or the rest could not
    be told apart.

    Args:
        trials: Best first.
        path: Where to; what is there is replaced.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scored = [trial for trial in trials if trial.val_accuracy is not None]
    floor = _find_floor([trial.val_accuracy or 0.0 for trial in scored])
    num_rows = math.ceil((len(PANELS) + 1) / NUM_COLUMNS)
    size = PANEL_INCHES[0] * NUM_COLUMNS, PANEL_INCHES[1] * num_rows
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(num_rows, NUM_COLUMNS, sharey=True).ravel()
        for (name, scale), axes in zip(PANELS.items(), panels, strict=False):
            _draw_panel(axes, scored, floor, name, scale)
        _draw_order(panels[len(PANELS)], scored, floor)
        for axes in panels:
            axes.yaxis.set_major_formatter("{x:.1%}")
            axes.tick_params("y", labelleft=True)
        figure.supylabel("accuracy on the validation images")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4)
        figure.savefig(path)


def _find_floor(scores: Sequence[float]) -> float:
    """Returns the lowest score that is drawn at its place."""
    low, high = np.percentile(scores, [25, 75])
    fence = low - FENCE * (high - low)
    return min(score for score in scores if score >= fence)


def _draw_panel(
    axes: "Axes",
    trials: Sequence[TrialRecord],
    floor: float,
    name: str,
    scale: str,
) -> None:
    values = [getattr(trial.spec, name) for trial in trials]
    if scale == "category":
        ticks = sorted(set(values))
        axes.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
        axes.set_xlim(-0.5, len(ticks) - 0.5)
        values = [ticks.index(value) for value in values]
    elif scale == "symlog":
        axes.set_xscale("symlog", linthresh=LINEAR_BELOW)
        axes.set_xlim(left=-LINEAR_BELOW / 2)
    else:
        axes.set_xscale(scale)
    _scatter(axes, trials, floor, values)
    axes.set_xlabel(name.replace("_", " "))


def _draw_order(
    axes: "Axes", trials: Sequence[TrialRecord], floor: float
) -> None:
    numbers = [-1 if t.is_reference else int(t.trial_id) for t in trials]
    _scatter(axes, trials, floor, numbers)
    axes.set_xlabel(ORDER_LABEL)


def _scatter(
    axes: "Axes",
    trials: Sequence[TrialRecord],
    floor: float,
    values: Sequence[float],
) -> None:
    top = max(trial.val_accuracy or 0.0 for trial in trials)
    margin = MARGIN * (top - floor) or MARGIN
    groups: dict[str, list[tuple[float, float]]] = {name: [] for name in STYLES}
    for value, trial in zip(values, trials, strict=True):
        score = trial.val_accuracy or 0.0
        name = "reference recipe" if trial.is_reference else "trial"
        if score < floor:
            name, score = "far below", floor - margin
        groups[name].append((value, score))
    groups["best"] = [(values[0], trials[0].val_accuracy or 0.0)]
    for name, points in groups.items():
        if points:
            xs, ys = zip(*points, strict=True)
            axes.scatter(xs, ys, label=name, clip_on=False, **STYLES[name])
    axes.set_ylim(floor - margin, top + margin)
