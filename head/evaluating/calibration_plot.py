"""The reliability diagram: accuracy by confidence, and how many have which."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from head.evaluating.answers import Answers
from head.evaluating.reliability import NUM_BINS
from head.evaluating.reliability import bin_by_confidence
from head.evaluating.reliability import draw_chance
from head.plots import DPI
from head.plots import NOTE_COLOR
from head.plots import NOTE_SIZE
from head.plots import TRAIN_COLOR
from head.plots import VAL_COLOR
from head.plots import write_png

PANEL_INCHES = (5.0, 5.6)
HEIGHT_RATIOS = (3.2, 1.0)  # Of the diagram and of the histogram.
TITLE_PAD = 26  # Points: room for a line of legend.
CHANCE_COLOR = "#c9c9c9"
NOTE = (
    "Each point is one of 15 ranges of confidence. Grey: where 95% of all\n"
    "points lie if every confidence is exactly right."
)


def draw_reliability(answers: Answers, path: Path) -> Figure:
    """Draws accuracy against confidence, before and after calibration.

    Args:
        answers: What a head says; without a temperature there is no after.
        path: PNG file to write.
    """
    panels = [("As trained", TRAIN_COLOR, answers.probabilities)]
    calibrated = answers.calibrated_probabilities
    if calibrated is not None:
        title = f"Calibrated, temperature {answers.temperature:.3g}"
        panels.append((title, VAL_COLOR, calibrated))
    width, height = PANEL_INCHES
    figure = Figure((width * len(panels), height), DPI, layout="constrained")
    axes = figure.subplots(
        2,
        len(panels),
        sharex=True,
        sharey="row",
        squeeze=False,
        height_ratios=HEIGHT_RATIOS,
    )
    for column, (title, color, probabilities) in enumerate(panels):
        diagram, histogram = axes[:, column]
        diagram.set_title(title, pad=TITLE_PAD)
        _plot_accuracies(diagram, probabilities, answers.labels, color)
        _plot_counts(histogram, probabilities, answers.labels, color)
    axes[0, 0].set_ylabel("Accuracy")
    axes[1, 0].set_ylabel("Images")
    figure.supxlabel(NOTE, color=NOTE_COLOR, fontsize=NOTE_SIZE)
    return write_png(figure, path)


def _plot_accuracies(
    axes: Axes, probabilities: np.ndarray, labels: np.ndarray, color: str
) -> None:
    """Draws the accuracy of each bin, and what it would be by chance."""
    bins = bin_by_confidence(probabilities, labels)
    is_filled = bins.num_images > 0
    num_images = bins.num_images[is_filled]
    accuracies = bins.num_right[is_filled] / num_images
    confidences = accuracies - bins.gaps[is_filled] / num_images
    low, high = draw_chance(probabilities).accuracies[:, is_filled]
    axes.vlines(
        confidences,
        low,
        high,
        color=CHANCE_COLOR,
        linewidth=7,
        label="by chance",
    )
    axes.plot([0, 1], [0, 1], color=NOTE_COLOR, linestyle=":", linewidth=1)
    axes.vlines(confidences, confidences, accuracies, color=color)
    axes.plot(
        confidences,
        accuracies,
        color=color,
        linestyle="",
        marker="o",
        markersize=5,
        label=f"calibration error {bins.error:.2%}",
    )
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(  # Above, where no answers can be.
        frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2
    )
    _tidy(axes)


def _plot_counts(
    axes: Axes, probabilities: np.ndarray, labels: np.ndarray, color: str
) -> None:
    """Draws the share of the images in each bin."""
    counts = bin_by_confidence(probabilities, labels).num_images
    axes.bar(
        (np.arange(NUM_BINS) + 0.5) / NUM_BINS,
        counts / counts.sum(),
        width=0.9 / NUM_BINS,
        color=color,
    )
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("Confidence: the probability of the first class")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlim(-0.01, 1.01)
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
