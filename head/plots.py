"""Pictures of a run: what it was trained on, how that went, what it answers.

Each function writes a PNG and returns its figure. Images are drawn pixel by
pixel, small ones enlarged by a whole number, so that they are not blurred.
Figures are made without pyplot, which keeps global state.
"""

import dataclasses
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from head.class_names import spell
from head.training.train import History

TRAINING_GRID, PREDICTION_GRID = (6, 5), (3, 4)  # Columns and rows.
DPI = 150  # Makes text of 8 points as large beside 224 pixels as on a page.
POINT = DPI / 72  # Pixels.
PICTURE_PIXELS = 224  # What the reference's backbone takes; smaller ones grow.
MAX_PICTURE_PIXELS = 336  # Larger ones shrink to 224, so that six fit a screen.
MIN_CELL_PIXELS = 192  # Room for 20 characters on a line.
MARGIN = 32  # Pixels around everything.
TRAINING_GAP = 28  # Pixels between the columns.
PREDICTION_GAP = 64  # The same, where titles have two class names.
TITLE_SPACE = 16  # Pixels between two titles; hinting may take half of them.
TITLE_PAD = 8  # Pixels between a title and its picture.
ROW_GAP = 24  # Pixels between a picture and the titles below it.

LINE_HEIGHT = 1.25  # In font sizes.
HEADING_SIZE, TITLE_SIZE, NOTE_SIZE = 13.0, 8.0, 8.0  # Points.

# Apart in all three kinds of colour blindness (37 or more in CIELAB, by the
# model of Machado et al., 2009), and with a contrast above 5 on white. The
# curves are in two colours of https://jfly.uni-koeln.de/color.
RIGHT_COLOR, WRONG_COLOR = "#00735c", "#c8400a"
RIGHT_MARK, WRONG_MARK = "\N{CHECK MARK}", "\N{BALLOT X}"
TEXT_COLOR, NOTE_COLOR = "#1a1a1a", "#595959"
TRAIN_COLOR, VAL_COLOR = "#0072b2", "#d55e00"

VIEW_MARKS = {"plain": "", "flip": "(mirrored)"}
PREDICTIONS_NOTE = (
    f"{RIGHT_MARK} right    {WRONG_MARK} wrong, the true name in parentheses"
)
TRAIN_NOTE = "Train: while training, with dropout on and labels smoothed."
VAL_NOTE = "Validation: after each epoch, without either."
CURVES_INCHES = (10.0, 4.4)
MAX_MARKED_EPOCHS = 30  # With more, the dots of a curve would touch.


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One picture and what a head says it is.

    Args:
        image: Pixels `(height, width, 3)` in [0, 1].
        predicted: Name of the most probable class.
        true: Name of the true class.
    """

    image: np.ndarray
    predicted: str
    true: str

    @property
    def is_right(self) -> bool:
        """Whether the head is right."""
        return self.predicted == self.true


def draw_training_images(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    path: Path,
    view_names: Sequence[str] | None = None,
) -> Figure:
    """Draws 1 to 30 images, 6 by 5, under their class names.

    Args:
        images: Each `(height, width, 3)` in [0, 1].
        titles: Class name of each image.
        path: PNG file to write.
        view_names: View of each image, which its title names unless it is
            the plain one; all plain by default.
    """
    view_names = view_names or ["plain"] * len(titles)
    figure = _plot_grid(
        list(images),
        [
            (spell(title), VIEW_MARKS.get(name, f"({name})"))
            for title, name in zip(titles, view_names, strict=True)
        ],
        [TEXT_COLOR] * len(titles),
        grid=TRAINING_GRID,
        gap=TRAINING_GAP,
    )
    return write_png(figure, path)


def draw_learning_curves(history: History, path: Path) -> Figure:
    """Draws accuracy and loss by epoch, side by side.

    Args:
        history: By metric one value an epoch: `accuracy` and `loss`, and
            where there were validation rows `val_accuracy` and `val_loss`.
        path: PNG file to write.
    """
    figure = Figure(CURVES_INCHES, DPI)
    accuracy_axes, loss_axes = figure.subplots(1, 2)
    figure.subplots_adjust(0.07, 0.2, 0.98, 0.92, wspace=0.2)
    percents = {k: [100 * share for share in history[k]] for k in history}
    _plot_curves(accuracy_axes, percents, "accuracy")
    accuracy_axes.set(title="Accuracy", ylabel="Top-1 accuracy (%)")
    accuracy_axes.set_ylim(top=100.5)  # A dot at 100 % is seen whole.
    accuracy_axes.legend(frameon=False, loc="lower right")
    _plot_curves(loss_axes, history, "loss")
    loss_axes.set(title="Loss", ylabel="Cross-entropy")
    loss_axes.set_ylim(bottom=0)
    loss_axes.legend(frameon=False, loc="upper right")
    note = f"{TRAIN_NOTE} {VAL_NOTE}" if "val_loss" in history else TRAIN_NOTE
    figure.supxlabel(note, y=0.025, color=NOTE_COLOR, fontsize=NOTE_SIZE)
    return write_png(figure, path)


def draw_predictions(
    group: str,
    top1: float,
    num_images: int,
    pictures: Sequence[Prediction],
    path: Path,
) -> Figure:
    """Draws 1 to 12 test images, 3 by 4, with what they are taken for.

    Args:
        group: Name of the group of classes.
        top1: Of the whole group, 0 to 1.
        num_images: Of the whole group.
        pictures: Some of its images.
        path: PNG file to write.
    """
    noun = "image" if num_images == 1 else "images"
    figure = _plot_grid(
        [picture.image for picture in pictures],
        [_title_prediction(picture) for picture in pictures],
        [RIGHT_COLOR if p.is_right else WRONG_COLOR for p in pictures],
        grid=PREDICTION_GRID,
        gap=PREDICTION_GAP,
        heading=f"{group}: {100 * top1:.1f} % of {num_images:,} {noun}",
        note=PREDICTIONS_NOTE,
    )
    return write_png(figure, path)


def write_png(figure: Figure, path: Path) -> Figure:
    """Writes a figure whole or not at all, its bytes free of versions."""
    part = path.with_name(path.name + ".part")
    figure.savefig(part, format="png", metadata={"Software": None})
    os.replace(part, path)
    return figure


def _plot_curves(axes: Axes, history: History, metric: str) -> None:
    """Draws one metric of train and, where there is one, of validation."""
    num_epochs = len(history[metric])
    for name, key, color, line in (
        ("train", metric, TRAIN_COLOR, "-"),
        ("validation", f"val_{metric}", VAL_COLOR, "--"),
    ):
        if key in history:
            axes.plot(
                np.arange(1, num_epochs + 1),
                history[key],
                color=color,
                label=name,
                linestyle=line,
                marker="o" if num_epochs <= MAX_MARKED_EPOCHS else "",
                markersize=3,
            )
    locator = MaxNLocator(10, integer=True, steps=[1, 2, 5, 10])
    later_ticks = locator.tick_values(1, num_epochs)
    axes.set_xticks([1, *(t for t in later_ticks if 1 < t <= num_epochs)])
    axes.set_xlim(0.5, num_epochs + 0.5)
    axes.set_xlabel("Epoch")
    axes.margins(y=0.08)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _title_prediction(picture: Prediction) -> tuple[str, ...]:
    predicted, true = spell(picture.predicted), spell(picture.true)
    if picture.is_right:
        return (f"{RIGHT_MARK} {predicted}",)
    return (f"{WRONG_MARK} {predicted}", f"({true})")


def _plot_grid(
    images: Sequence[np.ndarray],
    titles: Sequence[tuple[str, ...]],
    colors: Sequence[str],
    *,
    grid: tuple[int, int],
    gap: int,
    heading: str = "",
    note: str = "",
) -> Figure:
    """Lays out images row by row, every length in pixels."""
    columns, rows = grid
    if not 0 < len(images) <= columns * rows:
        raise ValueError(
            f"It takes 1 to {columns * rows} images. Received: {len(images)}."
        )
    scale = _scale(max(images[0].shape))
    height, width = (round(scale * size) for size in images[0].shape[:2])
    pitch = max(width, MIN_CELL_PIXELS) + gap
    texts = [_wrap(parts, pitch - TITLE_SPACE) for parts in titles]
    # A row is as high as the title with the most lines in it asks for.
    tops = [MARGIN + (round(2 * HEADING_SIZE * POINT) if heading else 0)]
    for start in range(0, columns * rows, columns):
        lines = [text.count("\n") + 1 for text in texts[start:][:columns]]
        title_height = max(lines, default=1) * LINE_HEIGHT * TITLE_SIZE * POINT
        row_height = round(title_height) + TITLE_PAD + height + ROW_GAP
        tops.append(tops[-1] + row_height)
    across = 2 * MARGIN + columns * pitch - gap
    down = tops[-1] - ROW_GAP + (2 * MARGIN if note else MARGIN)

    figure = Figure((across / DPI, down / DPI), DPI)
    cells = zip(images, texts, colors, strict=True)
    for number, (image, text, color) in enumerate(cells):
        row, column = divmod(number, columns)
        left = MARGIN + column * pitch + (pitch - gap - width) // 2
        bottom = down - tops[row + 1] + ROW_GAP
        axes = figure.add_axes(
            (left / across, bottom / down, width / across, height / down)
        )
        interpolation = "nearest" if scale >= 1 else "hanning"
        axes.imshow(image, aspect="auto", interpolation=interpolation)
        axes.set_axis_off()
        axes.set_title(
            text,
            color=color,
            fontsize=TITLE_SIZE,
            linespacing=LINE_HEIGHT,
            pad=TITLE_PAD / POINT,
            parse_math=False,
        )
    if heading:
        room = (across - 2 * MARGIN) / _measure(heading, HEADING_SIZE, 700)
        figure.suptitle(
            heading,
            y=1 - MARGIN / down,
            color=TEXT_COLOR,
            fontsize=HEADING_SIZE * min(1, room),
            fontweight="bold",
            parse_math=False,
        )
    note_y = MARGIN / 2 / down
    figure.supxlabel(note, y=note_y, color=NOTE_COLOR, fontsize=NOTE_SIZE)
    return figure


def _scale(longest: int) -> float:
    """Returns how many times larger an image of that many pixels is drawn."""
    if longest > MAX_PICTURE_PIXELS:
        return PICTURE_PIXELS / longest
    return max(1, round(PICTURE_PIXELS / longest))


def _wrap(parts: Sequence[str], width: int) -> str:
    """Breaks a title between its parts, then at spaces, then anywhere."""
    whole = " ".join(filter(None, parts))
    if _measure(whole, TITLE_SIZE) <= width:
        return whole
    lines: list[str] = []
    for part in parts:
        # The greatest number of characters a line that is not too wide.
        for num_characters in range(len(part), 0, -1):
            wrapped = textwrap.wrap(part, num_characters)
            if all(_measure(line, TITLE_SIZE) <= width for line in wrapped):
                lines += wrapped
                break
    return "\n".join(lines)


def _measure(text: str, size: float, weight: int = 400) -> float:
    """Returns the width of a line in pixels."""
    font = FontProperties(size=size, weight=weight)
    measured = text_to_path.get_text_width_height_descent(text, font, False)
    return POINT * measured[0]
