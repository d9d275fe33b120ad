"""The page of a report, laid out and written."""

import dataclasses
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from markupsafe import escape

from embed.artifacts import write_text
from embed.cache import FeatureCache
from embed.console import Console
from embed.console import format_seconds
from embed.devices import prepare_devices
from head.report import charts
from head.report import material as shown
from head.report.commands import list_commands
from head.report.material import Material
from head.report.material import gather
from head.report.thumbnails import Key
from head.report.thumbnails import make_thumbnails
from head.run import Run

REPORT, TEMPLATE = "report.html", "page.html.jinja"
# Said elsewhere.
NOT_OF_A_HEAD = {"fingerprint", "chosen_on", "chosen_on_rows", "others"}
MAX_MATRIX_CLASSES = 120  # Of more, cells are hard to find and the page slow.
CURVES = (
    ("Accuracy", ("accuracy", "val_accuracy"), True),
    ("Loss", ("loss", "val_loss"), False),
)


@dataclasses.dataclass(frozen=True)
class Report:
    """A report that was written.

    Args:
        path: The page.
        run: Folder of the run.
        num_bytes: Size of the page.
        num_pictures: Photographs in it, each counted once.
        num_suspects: Training labels that another class outdoes.
        num_duplicates: Test pictures that are nearly in the train split.
    """

    path: Path
    run: Path
    num_bytes: int
    num_pictures: int
    num_suspects: int
    num_duplicates: int

    def to_payload(self) -> dict[str, Any]:
        """Returns what `--json` prints."""
        return {
            "report": str(self.path),
            "run": str(self.run),
            "num_bytes": self.num_bytes,
            "num_pictures": self.num_pictures,
            "num_suspects": self.num_suspects,
            "num_duplicates": self.num_duplicates,
        }


def write_report(
    run: Run,
    cache: FeatureCache,
    *,
    artifacts_dir: Path,
    groups_file: Path | None = None,
    console: Console,
) -> Report:
    """Writes `report.html` into the folder of a run.

    Args:
        run: What to report on.
        cache: The one it was made on.
        artifacts_dir: Where the search lies that chose its spec.
        groups_file: TOML file of groups of classes; default: built in.
        console: Receives progress and remarks.

    Raises:
        StaleCacheError: If the run was made on another cache.
        CorruptCacheError: If a row is not what was written.
        PipelineError: If a group names no class.
    """
    prepare_devices()  # Before TensorFlow is imported, which is not quiet.
    material = gather(
        run,
        cache,
        artifacts_dir=artifacts_dir,
        groups_file=groups_file,
        console=console,
    )
    thumbnails, problem = make_thumbnails(cache, material.wanted_pictures())
    if problem:
        console.say(f"Some pictures are not shown: {problem}")
    page = render(run, cache, material, thumbnails, problem)
    path = run.directory / REPORT
    write_text(path, page)
    return Report(
        path=path,
        run=run.directory,
        num_bytes=len(page.encode()),
        num_pictures=len(thumbnails),
        num_suspects=material.num_suspects,
        num_duplicates=len(material.duplicates.close),
    )


def render(
    run: Run,
    cache: FeatureCache,
    material: Material,
    thumbnails: dict[Key, str],
    problem: str = "",
) -> str:
    """Returns the page as HTML.

    Args:
        run: What it is about.
        cache: The one it was made on.
        material: What it shows.
        thumbnails: Data URIs by split and row; those that are missing are
            named alone.
        problem: Why some are missing.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("head.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _make_breakable
    environment.filters["duration"] = _format_duration
    return environment.get_template(TEMPLATE).render(
        run=run,
        record=run.record,
        heads=[
            head.model_dump(exclude=NOT_OF_A_HEAD)
            for head in run.record.spec.members
        ],
        cache=cache,
        spec=cache.spec,
        made=cache.provenance,
        names=cache.spec.class_names,
        ids={name: cache.image_ids(name) for name in ("train", "test")},
        train_labels=cache.labels("train"),
        commands=list_commands(run, cache, material.search),
        thumbnails=thumbnails,
        problem=problem,
        m=material,
        metrics=material.metrics,
        classes=_sort_classes(material.metrics["classes"]),
        predictions=material.predictions,
        calibration_charts=_draw_calibration(material),
        curve_charts=_draw_curves(material),
        matrix_chart=_draw_matrix(material, cache.spec.class_names),
        max_matrix_classes=MAX_MATRIX_CLASSES,
        map_chart=_draw_map(material, cache),
        color_of=charts.color_of,
        pictures_a_pair=shown.PICTURES_A_PAIR,
    )


def _sort_classes(
    classes: dict[str, dict[str, Any]],
) -> list[tuple[str, dict[str, Any]]]:
    """Returns the classes of least accuracy first, those without one last."""

    def place(item: tuple[str, dict[str, Any]]) -> tuple[bool, float]:
        top1 = item[1]["top1"]
        return top1 is None, top1 or 0.0

    return sorted(classes.items(), key=place)


def _draw_calibration(material: Material) -> list[tuple[str, Markup]]:
    answers = material.predictions
    panels = [("As trained", answers.probabilities)]
    if answers.calibrated is not None:
        panels.append(("Calibrated", answers.calibrated))
    return [
        (title, charts.draw_reliability(of_panel, answers.labels, title))
        for title, of_panel in panels
    ]


def _draw_curves(material: Material) -> list[tuple[str, Markup]]:
    drawn = []
    for label, names, is_share in CURVES:
        curves = [
            ("Validation" if name.startswith("val_") else "Train", css, values)
            for name, css in zip(names, ("train", "val"), strict=True)
            if (values := material.history.get(name))
        ]
        if curves:
            chart = charts.draw_curves(curves, label=label, is_share=is_share)
            drawn.append((label, chart))
    return drawn


def _draw_matrix(material: Material, names: tuple[str, ...]) -> Markup | None:
    if len(names) > MAX_MATRIX_CLASSES:
        return None
    return charts.draw_matrix(material.matrix, names)


def _draw_map(material: Material, cache: FeatureCache) -> Markup | None:
    if material.map is None:
        return None
    rows, answers = material.map.rows, material.predictions
    names, ids = cache.spec.class_names, cache.image_ids("test")
    titles = []
    for row in rows.tolist():
        true, answer = answers.labels[row], answers.predicted[row]
        taken = "" if true == answer else f", taken for {names[answer]}"
        titles.append(f"{names[true]}{taken} ({ids[row]})")
    return charts.draw_points(
        material.map.points,
        answers.labels[rows].tolist(),
        titles,
        answers.is_wrong[rows].tolist(),
    )


def _make_breakable(name: str) -> Markup:
    """Returns a name that breaks behind its underscores first."""
    return Markup("_<wbr>").join(escape(word) for word in name.split("_"))


def _format_duration(seconds: float) -> str:
    """Returns `2.2 s` where it is short, else what `format_seconds` says."""
    return f"{seconds:.1f} s" if seconds < 10 else format_seconds(seconds)
