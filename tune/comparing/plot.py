"""The picture of a comparison: accuracy against the rate of the backbone."""

from collections.abc import Sequence
from pathlib import Path

from tune.comparing.record import CacheComparison
from tune.comparing.record import Contestant
from tune.comparing.table import label

INCHES = (8.0, 5.0)
DOTS_PER_INCH = 130
# Told apart in all kinds of colour blindness: https://jfly.uni-koeln.de/color
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")  # With 6 colours 42 pairs.
SEED_SIZE, SEED_ALPHA = 16, 0.4
SEED_INCHES = 0.12  # Right of the mean, where they hide nothing.
STEPS = (1, 2, 5)  # Of a logarithmic axis.
WIDE = 4.0  # Times: rates that differ by more are on a logarithmic axis.
BESIDE = 1.25  # A cache without a rate is so many times left of the slowest.
ROOM = 0.12  # Of the range of rates, at both sides.


def draw_comparison(comparison: CacheComparison, path: Path) -> None:
    """Draws mean, interval and seeds of each cache as a PNG.

    Args:
        comparison: What to draw.
        path: Where to; what is there is replaced.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator
    from matplotlib.ticker import NullLocator
    from matplotlib.transforms import ScaledTranslation

    caches = comparison.caches
    places = place(caches)
    with mpl.rc_context({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        shift = ScaledTranslation(SEED_INCHES, 0, figure.dpi_scale_trans)
        for number, (found, x) in enumerate(zip(caches, places, strict=True)):
            low, high = found.interval
            mean, color = found.val_accuracy, COLORS[number % len(COLORS)]
            name = label(found)
            if found.views_per_second is None:
                name += " (rate unknown)"
            axes.errorbar(
                x,
                mean,
                yerr=[[max(mean - low, 0)], [max(high - mean, 0)]],
                fmt=MARKERS[number % len(MARKERS)],
                color=color,
                markerfacecolor="none" if number else color,
                capsize=4,
                label=name if number else f"{name}, the first",
            )
            seeds = found.val_accuracies
            axes.scatter(
                [x] * len(seeds),
                seeds,
                s=SEED_SIZE,
                color=color,
                alpha=SEED_ALPHA,
                linewidths=0,
                transform=axes.transData + shift,
            )
        if max(places) > WIDE * min(places):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=STEPS))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=ROOM)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter("{x:.1%}")
        axes.set_xlabel("views/s of the pass that built the cache")
        axes.set_ylabel(f"accuracy on {comparison.num_val:,} validation images")
        axes.set_title(
            f"Mean of {len(comparison.seeds)} seeds with its 95 % interval; "
            "small dots: the seeds",
            fontsize="medium",
        )
        figure.legend(loc="outside lower center")
        figure.savefig(path)


def place(caches: Sequence[Contestant]) -> list[float]:
    """Returns where caches are on the axis of rates.

    One without a rate stands left of all others.
    """
    rates = [found.views_per_second for found in caches]
    known = [rate for rate in rates if rate]
    unknown = min(known, default=BESIDE) / BESIDE
    return [rate or unknown for rate in rates]
