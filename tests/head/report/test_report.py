"""Tests for `head.report`."""

import html.parser
import json
import re
import shutil

import numpy as np
import pytest
import sklearn.metrics

from embed.artifacts import SEARCHES
from embed.console import Console
from embed.extract import build_cache
from head import cli
from head.evaluating.judge import judge_run
from head.refit import train_run
from head.report.writing import write_report
from head.spec import BEST
from head.spec import HeadSpec
from tests.headless_chromium import find_chromium
from tests.headless_chromium import open_page

SECTIONS = (
    *("run", "accuracy", "groups", "classes", "confusion", "mistakes"),
    *("unsure", "calibration", "curves", "search", "cost", "map"),
    *("suspects", "duplicates"),
)
SPEC = HeadSpec(epochs=3, learning_rate=0.02)
ODD_NAME = "<b>&cat"  # It must not become a part of the page.
WIDTHS = (400, 1400)


class PageText(html.parser.HTMLParser):
    """What a page has: ids, text by section, exact values, addresses."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.values = [], [], {}
        self.tags, self.text = set(), {}
        self._section, self._near = None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Notes what a tag says."""
        found = dict(attrs)
        self.tags.add(tag)
        if "id" in found:
            self.ids.append(found["id"])
            self._near = found["id"]
        if tag == "section":
            self._section = found["id"]
        if tag == "data":
            self.values.setdefault(self._near, []).append(found["value"])
        self.addresses += [
            found[name] for name in ("src", "href") if found.get(name)
        ]

    def handle_data(self, data):
        """Notes the text of the section it is in."""
        before = self.text.get(self._section, "")
        self.text[self._section] = before + data


@pytest.fixture(name="artifacts_dir")
def _artifacts_dir(tmp_path):
    """Where cache and run are."""
    return tmp_path / "artifacts"


@pytest.fixture(name="run")
def _run(tiny_request, picture_folder, artifacts_dir):
    """A run on pictures of which a class is oddly named."""
    for split in ("train", "test"):
        shutil.move(
            picture_folder / split / "cat", picture_folder / split / ODD_NAME
        )
    cache = build_cache(tiny_request, artifacts_dir=artifacts_dir).cache
    return train_run(cache, SPEC, seed=0, artifacts_dir=artifacts_dir), cache


@pytest.fixture(name="write")
def _write(run, artifacts_dir):
    """Writes the report of the run and returns what is in it."""

    def write(**options):
        report = write_report(
            *run, artifacts_dir=artifacts_dir, console=Console(), **options
        )
        return report, PageText(report.path.read_text("utf-8"))

    return write


def test_every_section_is_there_and_says_something(write):
    """Also where there is nothing to show: then it says why."""
    report, page = write()

    assert [i for i in page.ids if i in SECTIONS] == list(SECTIONS)
    for section in SECTIONS:
        assert f"#{section}" in page.addresses
        assert len(page.text[section].split()) > 5, section
    assert "No search that is still there" in page.text["search"]
    assert "no groups of classes" in page.text["groups"]
    assert report.num_bytes == report.path.stat().st_size
    assert report.num_pictures > 0


def test_the_page_needs_nothing_but_itself(write):
    """Pictures are inside; there is no script and no address."""
    report, page = write()

    assert {a.split(",")[0] for a in page.addresses if a[0] != "#"} == {
        "data:",
        "data:image/jpeg;base64",
    }
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?://", report.path.read_text())


def test_what_evaluate_wrote_stays(write, run, tmp_path):
    """With both views, groups and pictures; the report is of one view."""
    groups = tmp_path / "groups.toml"
    groups.write_text('barkers = ["dog"]\n')
    judged = judge_run(
        *run,
        is_averaged=True,
        is_end_to_end=False,
        groups_file=groups,
        console=Console(is_quiet=True),
    )
    folder = run[0].directory
    before = {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}

    report, page = write(groups_file=groups)

    after = {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert after.pop(report.path)
    assert after == before
    assert "barkers" in page.text["groups"]
    assert "no groups of classes" not in page.text["groups"]
    assert float(page.values["metric-nll"][0]) != judged["nll"]


def test_figures_are_those_of_evaluate_and_scikit_learn(write, run):
    """To the last digit: each figure has its exact value in the page."""
    report, page = write()

    judged = judge_run(
        *run,
        is_averaged=False,
        is_end_to_end=False,
        groups_file=None,
        console=Console(),
    )
    for name in ("top1", "top5", "mean_per_class", "macro_f1", "nll", "ece"):
        assert float(page.values[f"metric-{name}"][0]) == judged[name], name
    with np.load(report.run / "predictions.npz") as arrays:
        labels, predicted = arrays["labels"], arrays["predicted"]
        of_sklearn = {
            "top1": sklearn.metrics.accuracy_score(labels, predicted),
            "macro_f1": sklearn.metrics.f1_score(
                labels, predicted, average="macro"
            ),
            "nll": sklearn.metrics.log_loss(labels, arrays["probabilities"]),
        }
    for name, figure in of_sklearn.items():
        assert float(page.values[f"metric-{name}"][0]) == figure, name
    of_classes = {float(v) for v in page.values["classes"]}
    assert of_classes == {c["top1"] for c in judged["classes"].values()}
    calibrated = judged["calibrated"]
    assert page.values["calibrated"] == [
        str(calibrated["ece"]),
        str(calibrated["nll"]),
    ]


def test_names_are_text_wherever_they_come(write):
    """A class that is named like a tag is not one, in charts as in tables."""
    report, page = write()

    assert ODD_NAME in page.text["classes"]
    assert ODD_NAME in page.text["confusion"]
    assert ODD_NAME in page.text["map"]
    assert ODD_NAME not in report.path.read_text("utf-8")


def test_the_table_is_of_the_search_that_chose_the_head(
    write, run, artifacts_dir
):
    """Not of one whose winner is another spec."""
    for name, spec in (
        ("other", SPEC.model_copy(update={"epochs": 9})),
        ("this", SPEC),
    ):
        folder = artifacts_dir / SEARCHES / name
        folder.mkdir(parents=True)
        (folder / "trials.csv").write_text(
            "rank,trial_id,status,val_accuracy,seconds,epochs,fingerprint\n"
            f"1,{name}-trial,completed,0.75,1.25,3,x\n"
            "2,b,failed,,,,x\n"
        )
        (folder / "search.json").write_text(
            json.dumps(
                {"seconds": 5.0, "spec": {"oracle": "random", "rows": 1234}}
            )
        )
        (folder / BEST).write_text(spec.model_dump_json())

    text = write()[1].text

    assert "this-trial" in text["search"]
    assert "75.00%" in text["search"]
    assert "pictures of a sample of 1,234, in 5.0 s" in text["search"]
    assert "fingerprint" not in text["search"]
    assert "Search, 3 epochs" in text["cost"]
    assert "other" not in text["search"]


def test_the_reference_way_is_computed_from_the_build(write, run):
    """Its rate times every picture in every epoch, and said to be so."""
    from head.report.cost import count_cost

    cost = count_cost(*run, None)
    made = run[1].provenance

    assert cost.views == 84  # 42 pictures and their mirrors.
    assert cost.rate == 84 / made.seconds["pass"]
    assert cost.reference_train == pytest.approx(3 * 30 / cost.rate)
    assert "computed, not measured" in write()[1].text["cost"]


def test_without_the_pictures_the_rest_is_written(write, picture_folder):
    """And the page says what became of them."""
    shutil.rmtree(picture_folder)

    report, page = write()

    assert report.num_pictures == 0
    assert "Some pictures are not shown" in page.text[None]
    assert "no picture" in page.text["unsure"]


def test_the_command_says_where_the_page_is(run, artifacts_dir, capfd):
    """One line of JSON, whose path is the page."""
    arguments = ["report", "--artifacts", str(artifacts_dir), "--json"]

    cli.app(arguments, standalone_mode=False)

    payload = json.loads(capfd.readouterr().out)
    assert payload["report"] == str(run[0].directory / "report.html")
    assert payload["run"] == str(run[0].directory)


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_a_browser_shows_it_at_every_width(write, tmp_path):
    """No complaint, no request and no horizontal scroll; all is visible."""
    report, _ = write()

    with open_page(tmp_path / "profile") as page:
        for width in WIDTHS:
            for is_dark in (False, True):
                page.open(report.path, width=width, is_dark=is_dark)

                address = report.path.absolute().as_uri()
                assert page.complaints == []
                assert [
                    url for url in page.requests if not url.startswith("data:")
                ] == [address]
                assert page.evaluate("innerWidth") == width
                root = "document.documentElement"
                assert page.evaluate(f"{root}.scrollWidth") <= width
                for section in SECTIONS:
                    height = f"document.getElementById('{section}')"
                    assert page.evaluate(f"{height}.offsetHeight") > 40
                assert page.evaluate(
                    "[...document.images].every(i => i.naturalWidth > 0)"
                )
