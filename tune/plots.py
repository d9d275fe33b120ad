"""The picture of a search: the score against each hyperparameter."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

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
STYLES: dict[str, dict[str, Any]] = {
    "trial": {"c": "#4878a8", "s": 18, "alpha": 0.6},
    "reference recipe": {"c": "#444444", "s": 50, "marker": "D"},
    "best": {"c": "none", "s": 110, "edgecolors": "#d1495b", "linewidths": 2},
}


def draw_search(trials: Sequence[TrialRecord], path: Path) -> None:
    """Draws the completed trials as a PNG.

    Args:
        trials: Best first.
        path: Where to; what is there is replaced.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scored = [trial for trial in trials if trial.val_accuracy is not None]
    num_rows = math.ceil((len(PANELS) + 1) / NUM_COLUMNS)
    size = PANEL_INCHES[0] * NUM_COLUMNS, PANEL_INCHES[1] * num_rows
    look = {"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    with mpl.rc_context(look):
        figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(num_rows, NUM_COLUMNS, sharey=True).ravel()
        for (name, scale), axes in zip(PANELS.items(), panels, strict=False):
            _draw_panel(axes, scored, name, scale)
        _draw_order(panels[len(PANELS)], scored)
        for axes in panels:
            axes.yaxis.set_major_formatter("{x:.1%}")
            axes.tick_params("y", labelleft=True)
        figure.supylabel("accuracy on the validation images")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
        figure.savefig(path)


def _draw_panel(
    axes: "Axes", trials: Sequence[TrialRecord], name: str, scale: str
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
    _scatter(axes, trials, values)
    axes.set_xlabel(name.replace("_", " "))


def _draw_order(axes: "Axes", trials: Sequence[TrialRecord]) -> None:
    numbers = [-1 if t.is_reference else int(t.trial_id) for t in trials]
    _scatter(axes, trials, numbers)
    axes.set_xlabel(ORDER_LABEL)


def _scatter(
    axes: "Axes", trials: Sequence[TrialRecord], values: Sequence[float]
) -> None:
    points = [
        (value, trial.val_accuracy, trial.is_reference)
        for value, trial in zip(values, trials, strict=True)
    ]
    groups = {
        "trial": [point for point in points if not point[2]],
        "reference recipe": [point for point in points if point[2]],
        "best": points[:1],
    }
    for name, group in groups.items():
        xs, ys = [point[0] for point in group], [point[1] for point in group]
        axes.scatter(xs, ys, label=name, **STYLES[name])
