"""What the benchmarks share, and that each of them can be started."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks import gpu
from benchmarks import machine
from benchmarks import measure
from benchmarks import rows
from benchmarks import views
from benchmarks.gpu_meter import GpuMeter
from benchmarks.gpu_meter import describe_gpu
from benchmarks.machine import ProcessorTime
from benchmarks.machine import describe_machine
from benchmarks.machine import list_versions
from benchmarks.measure import WARM_UP
from benchmarks.measure import Options
from benchmarks.measure import Rounds
from benchmarks.measure import Summary
from benchmarks.pictures import draw_pictures
from benchmarks.pictures import link_first
from benchmarks.pictures import list_pictures
from embed.sources import SourceRequest
from embed.sources import open_source
from head.spec import HeadSpec

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
NAMES = re.search(r"^BENCHMARKS := (.*)$", MAKEFILE, re.MULTILINE)[1].split()


def run_benchmark(name: str, *arguments: str) -> str:
    """Returns what a benchmark prints."""
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def test_ways_alternate_and_the_first_round_warms_up():
    """No way runs twice before another has, and round 0 is the second."""
    calls = []

    def run(name, number):
        calls.append((name, number))
        return {"seconds": float(number)}

    rounds = measure.measure_in_turn(
        {"a": lambda n: run("a", n), "b": lambda n: run("b", n)}, 2
    )

    assert calls == [(w, n) for n in (WARM_UP, 0, 1) for w in ("a", "b")]
    assert rounds.of("a", "seconds") == [0.0, 1.0]


def test_a_ratio_is_the_median_of_the_ratios_within_each_round():
    """A round in which the machine was slow counts like any other."""
    rounds = Rounds(
        [
            {"fit": {"seconds": fit}, "ours": {"seconds": ours}}
            for fit, ours in ((6.0, 2.0), (80.0, 20.0), (10.0, 2.0))
        ]
    )

    assert rounds.ratio("fit", "ours", "seconds") == Summary(4.0, 3.0, 5.0)


def test_a_difference_is_the_median_of_those_within_each_round():
    """Rounds differ by what they draw; what both drew is compared."""
    rounds = Rounds(
        [
            {"ours": {"best": ours}, "fit": {"last": last}}
            for ours, last in ((0.5, 0.25), (0.9, 0.8), (1.0, 1.5))
        ]
    )

    assert rounds.difference("ours", "best", "fit", "last") == Summary(
        pytest.approx(0.1), -0.5, 0.25
    )


def test_a_range_below_zero_is_put_in_words():
    """No minus is taken for the dash of a range."""
    assert Summary(2.91, 2.84, 3.02).format(2) == "2.91 (2.84-3.02)"
    assert Summary(0.14, -1.36, -0.2).format(2) == "0.14 (-1.36 to -0.20)"


def test_fewer_rounds_and_small_sizes_are_said():
    """Figures that were only tried out are not taken for measured ones."""
    assert "TRIED OUT" not in Options().describe()
    assert "TRIED OUT" in Options(num_rounds=1).describe()
    assert "small" in Options(is_small=True).describe()


def test_columns_are_as_wide_as_their_widest_cell(capsys):
    """The first column is flush left, the others are flush right."""
    measure.print_table("Title:", [["way", "s"], ["ours", "1.25"], ["a", "10"]])

    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Title:", "way      s", "ours  1.25", "a       10"]


def test_the_machine_is_described():
    """A figure without its machine and versions says nothing."""
    assert describe_machine()["cores"] >= 1
    assert list_versions(["no-such-package"])["no-such-package"] == (
        "not installed"
    )


@pytest.fixture(name="steal")
def _steal(tmp_path, monkeypatch):
    """Lets the host take shares away, round by round; returns the rounds."""
    times = tmp_path / "stat"
    monkeypatch.setattr(machine, "CPU_TIMES", times)

    def steal(*percents):
        sums = [0, *itertools.accumulate(percents)]

        def run(number):
            stolen = sums[number + 1]
            used = 1_000 + 100 * (number + 1) - stolen
            times.write_text(f"cpu  {used} 0 5 900 80 0 2 {stolen} 7 0\ncpu0\n")
            return {"seconds": float(number)}

        run(WARM_UP)
        return measure.measure_in_turn({"ours": run}, 2)

    return steal


def test_what_a_host_takes_away_is_said(steal, capsys):
    """Rounds that it disturbed are run again, and left out."""
    rounds = steal(30, 4, 40, 2)

    measure.print_result("any", {}, rounds, Options(), threads="all")

    line, result = capsys.readouterr().out.splitlines()
    assert rounds.of("ours", "seconds") == [1.0, 3.0]
    assert rounds.stolen == [0.04, 0.02]
    assert "3.0 (2.0-4.0) %" in line
    assert "30.0, 40.0 %" in line
    assert json.loads(result)["stolen"] == [0.04, 0.02]


def test_on_a_busy_host_the_least_disturbed_rounds_count(steal):
    """Twice as many as wanted are run, and no more."""
    rounds = steal(30, 20, 40, 10, 0)

    assert rounds.of("ours", "seconds") == [1.0, 3.0]
    assert rounds.left_out == [0.3, 0.4]


def test_elsewhere_nothing_is_known_of_a_host(tmp_path, monkeypatch):
    """Other systems than Linux do not tell."""
    monkeypatch.setattr(machine, "CPU_TIMES", tmp_path / "none")

    assert ProcessorTime.read().stolen_since(ProcessorTime.read()) == 0.0


def test_a_gpu_is_asked_how_busy_it_is(tmp_path, monkeypatch):
    """A program stands for its driver's; its last line may be cut off."""
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *=name*) echo "Some GPU"; exit;; esac\n'
        "echo '50, 900'; echo '100, 1000'; printf '1'\n"
        f"touch {tmp_path}/told; exec sleep 60\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with GpuMeter() as meter:
        began = time.perf_counter()
        while not (tmp_path / "told").exists():
            time.sleep(0.01)
        seconds = time.perf_counter() - began

    assert describe_gpu() == "Some GPU"
    assert meter.peak_mb == 1000
    assert meter.busy_seconds >= 0.75 * seconds


def test_without_a_gpu_there_is_nothing_to_measure(tmp_path, monkeypatch):
    """The benchmark says so, and does not measure the processor."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["gpu"])

    assert describe_gpu() == ""
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main()


def test_drawn_pictures_are_a_dataset(tmp_path):
    """Both splits and all classes are there, in the order of a cache."""
    draw_pictures(tmp_path / "drawn", 60)
    link_first(tmp_path / "drawn", 50, tmp_path / "first")

    source = open_source(SourceRequest(dataset=f"folder:{tmp_path / 'first'}"))
    assert len(source.class_names) == 10
    for split, count in (("train", 40), ("test", 10)):
        paths, labels = list_pictures(tmp_path / "first", split)
        index = source.splits[split]
        assert len(paths) == count
        assert labels == index.labels.tolist()
        assert [
            str(tmp_path / "first" / split / image_id)
            for image_id in index.image_ids
        ] == paths


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_of_the_makefile_starts(name):
    """`make bench` finds each of them, and they import what there is."""
    assert "--rounds" in run_benchmark(name, "--help")


def test_rows_of_drawn_blocks_are_a_cache(tmp_path, monkeypatch):
    """A build takes all of them over, in both layouts, and reads no picture."""
    monkeypatch.setattr(rows, "NUM_TEST", 100)
    monkeypatch.setattr(rows, "NUM_PARTS", 2)
    rows.write_blocks(tmp_path, 700)
    num_files = []

    for way in (rows.ONE, rows.PARTS):
        path = tmp_path / f"{way}.h5"
        shutil.copytree(tmp_path / "blocks", f"{path}.building")
        num_files.append(rows.assemble(path, 700)["num_files"])
        rows.verify(path)

    rows.compare(tmp_path)
    assert num_files == [1, 5]


@pytest.mark.slow
def test_the_last_line_of_a_benchmark_is_json():
    """Programs read figures, their spread and their machine there."""
    *_, last = run_benchmark("head", "--rounds", "1", "--small").splitlines()

    result = json.loads(last)
    assert result["benchmark"] == "head"
    assert result["is_small"]
    assert set(result["ratio"]) == {"median", "min", "max"}
    assert result["machine"]["cpu"]
    assert result["versions"]["keras"]


def test_a_recipe_is_as_good_as_itself(draw_cache, tmp_path, monkeypatch):
    """Image by image; with two views as with one, and in company."""
    monkeypatch.setattr(accuracy, "NUM_SEEDS", 2)
    cache = draw_cache(tmp_path / "tiny.h5")
    spec = HeadSpec(epochs=2, batch_size=8)
    alone, again, mean = accuracy.validate(
        cache,
        [spec, spec, spec.model_copy(update={"others": (spec, spec)})],
        [1, 2],
    )

    assert alone.shape == (2, 2)
    assert (alone == again).all()
    assert (alone == mean).all()


def test_views_are_judged_on_the_same_images(draw_cache, tmp_path, monkeypatch):
    """Of two views all ways but the plain ones are one."""
    monkeypatch.setattr(views, "NUM_SEEDS", 2)
    cache = draw_cache(tmp_path / "tiny.h5", num_train=90)

    hits = views.validate(cache, HeadSpec(epochs=2, batch_size=8))

    for name in (views.ALL, views.CHOSEN):
        np.testing.assert_array_equal(hits[name], hits[views.FEWER])
        assert views.find_interval(hits[name], hits[views.FEWER]) == (0, 0)
    assert (hits[views.ALONE] == hits[views.FEWER_ALONE]).all()
    assert hits[views.FEWER].shape == (2, 90)


def test_an_interval_is_over_the_images():
    """Each counts once, by the mean of its seeds: 50 points, of two images."""
    hits, others = np.array([[1.0, 0.0], [1.0, 0.0]]), np.zeros((2, 2))

    low, high = views.find_interval(hits, others)

    # The standard deviation is 50 times the root of 2, the error 50.
    assert (low, high) == pytest.approx((50 - 1.96 * 50, 50 + 1.96 * 50))
