"""Charts as SVG, in the colours of the page.

Each is drawn 360 units wide, as wide as the page of a phone, so that text is
as large there as elsewhere. Text and lines take the page's colours by class
(`page.html.jinja`), which differ in the dark. A `title` is what a browser
shows under the pointer.
"""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from markupsafe import escape

from head.evaluating.reliability import NUM_BINS
from head.evaluating.reliability import bin_by_confidence
from head.evaluating.reliability import draw_chance

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 34  # Around the plot itself.
NUM_TICKS = 5
CELL, CHARACTER = 16, 6.3  # Of the confusion matrix.
MAX_LABEL = 24  # Characters of a class name beside the matrix.
MAP_SIZE = 360
GOLDEN_ANGLE = 137.508  # Degrees: no two of many hues are close for long.


def draw_curves(
    curves: Sequence[tuple[str, str, Sequence[float]]],
    *,
    label: str,
    is_share: bool,
) -> Markup:
    """Draws values by epoch.

    Args:
        curves: Name, CSS class and values of each.
        label: What is drawn.
        is_share: Whether values are from 0 to 1, printed in per cent.
    """
    values = np.concatenate([np.asarray(curve[2]) for curve in curves])
    low, high = float(values.min()), float(values.max())
    if not is_share:
        low = min(low, 0.0)
    high = high if high > low else low + 1.0
    num_epochs = max(len(curve[2]) for curve in curves)
    parts = []
    for value in np.linspace(low, high, NUM_TICKS):
        text = f"{value:.0%}" if is_share else f"{value:.2f}"
        parts.append(_across(_y((value - low) / (high - low)), text))
    for epoch in sorted({1, (num_epochs + 1) // 2, num_epochs}):
        x = _x((epoch - 1) / max(1, num_epochs - 1))
        parts.append(_text(x, HEIGHT - 18, str(epoch), "middle"))
    parts.append(_text(_x(0.5), HEIGHT - 4, "Epoch", "middle"))
    for name, css_class, of_curve in curves:
        points = " ".join(
            f"{_x(n / max(1, num_epochs - 1)):.1f},"
            f"{_y((value - low) / (high - low)):.1f}"
            for n, value in enumerate(of_curve)
        )
        last = of_curve[-1]
        said = f"{last:.2%}" if is_share else f"{last:.4f}"
        parts.append(
            f'<polyline class="line {css_class}" points="{points}">'
            f"<title>{escape(name)}, last epoch {said}</title></polyline>"
        )
    return _svg(WIDTH, HEIGHT, label, parts)


def draw_reliability(
    probabilities: np.ndarray, labels: np.ndarray, label: str
) -> Markup:
    """Draws accuracy by confidence, and where chance would put it."""
    bins = bin_by_confidence(probabilities, labels)
    chance = draw_chance(probabilities).accuracies
    parts = [
        _across(_y(share), f"{share:.0%}") for share in np.linspace(0, 1, 5)
    ]
    parts += [
        _text(_x(share), HEIGHT - 18, f"{share:.0%}", "middle")
        for share in np.linspace(0, 1, 5)
    ]
    parts.append(_text(_x(0.5), HEIGHT - 4, "Confidence", "middle"))
    parts.append(
        f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" '
        f'y2="{_y(1)}"/>'
    )
    for number in range(NUM_BINS):
        count = int(bins.num_images[number])
        if not count:
            continue
        accuracy = bins.num_right[number] / count
        confidence = accuracy - bins.gaps[number] / count
        low, high = chance[:, number]
        x, y = _x(float(confidence)), _y(float(accuracy))
        parts.append(
            f'<line class="chance" x1="{x:.1f}" x2="{x:.1f}" '
            f'y1="{_y(float(low)):.1f}" y2="{_y(float(high)):.1f}"/>'
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>'
            f"{count:,} images: confidence {confidence:.1%}, accuracy "
            f"{accuracy:.1%}</title></circle>"
        )
    return _svg(WIDTH, HEIGHT, label, parts)


def draw_matrix(counts: np.ndarray, names: Sequence[str]) -> Markup:
    """Draws how often each true class (row) got each answer (column)."""
    room = 14 + CHARACTER * min(MAX_LABEL, max(map(len, names)))
    size = room + CELL * len(names)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / totals
    parts = []
    for number, name in enumerate(names):
        middle = room + CELL * (number + 0.5) + 4
        short = name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "…"
        parts.append(_text(room - 6, middle, short, "end"))
        parts.append(
            f'<text transform="translate({middle} {room - 6}) '
            f'rotate(-90)">{escape(short)}</text>'
        )
    for true in range(len(names)):
        for predicted in range(len(names)):
            count = int(counts[true, predicted])
            kind = "right" if true == predicted else "wrong"
            x, y = room + CELL * predicted, room + CELL * true
            if not count:
                continue
            opacity = 0.15 + 0.85 * shares[true, predicted]
            parts.append(
                f'<rect class="{kind}" x="{x}" y="{y}" width="{CELL - 1}" '
                f'height="{CELL - 1}" fill-opacity="{opacity:.2f}"><title>'
                f"{escape(names[true])} taken for {escape(names[predicted])}: "
                f"{count} of {int(totals[true, 0])}</title></rect>"
            )
            parts.append(_text(x + CELL / 2 - 0.5, y + 11, f"{count}", "count"))
    parts.append(
        f'<rect class="frame" x="{room - 0.5}" y="{room - 0.5}" '
        f'width="{CELL * len(names)}" height="{CELL * len(names)}"/>'
    )
    return _svg(size, size, "Confusion matrix", parts, is_fixed=True)


def draw_points(
    points: np.ndarray,
    classes: Sequence[int],
    titles: Sequence[str],
    is_wrong: Sequence[bool],
) -> Markup:
    """Draws a map of pictures, each in the colour of its class.

    Args:
        points: In the unit square, `(num_points, 2)`.
        classes: Numbers of their classes.
        titles: What is shown under the pointer.
        is_wrong: Which are ringed.
    """
    room = MAP_SIZE - 16
    parts = [
        f'<circle class="point{" missed" if wrong else ""}" '
        f'cx="{8 + room * x:.1f}" cy="{8 + room * (1 - y):.1f}" '
        f'r="{4 if wrong else 3}" fill="{color_of(number)}">'
        f"<title>{escape(title)}</title></circle>"
        for (x, y), number, title, wrong in zip(
            points.tolist(), classes, titles, is_wrong, strict=True
        )
    ]
    return _svg(MAP_SIZE, MAP_SIZE, "Map of the test pictures", parts)


def color_of(number: int) -> str:
    """Returns the colour of a class, visible on light and on dark."""
    lightness = (45, 60, 52)[number % 3]
    return f"hsl({number * GOLDEN_ANGLE % 360:.0f} 65% {lightness}%)"


def _svg(
    width: float,
    height: float,
    label: str,
    parts: Sequence[str],
    *,
    is_fixed: bool = False,
) -> Markup:
    size = f'width="{width}" height="{height}"' if is_fixed else 'width="100%"'
    text = (
        f'<svg viewBox="0 0 {width} {height}" {size} role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
    return Markup(text)  # noqa: S704  # What is not ours was escaped.


def _across(y: float, text: str) -> str:
    """Returns a line across the plot, and what it stands for."""
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" '
        f'y2="{y:.1f}"/>{_text(LEFT - 6, y + 4, text, "end")}'
    )


def _text(x: float, y: float, text: str, css_class: str) -> str:
    return (
        f'<text class="{css_class}" x="{x:.1f}" y="{y:.1f}">'
        f"{escape(text)}</text>"
    )


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
