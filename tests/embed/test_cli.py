"""Tests for `embed.cli`."""

import json
import resource

import pytest

HELP_SECONDS = 0.5
COMMANDS = ["build-cache", "info", "list", "verify", "diff", "prune", "doctor"]


def test_help_answers_at_once(run_command):
    """Half a second is what a user waits for help; the best of three.

    It is measured in seconds of the processor: others may use it too.
    """
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = run_command("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        )
        assert process.returncode == 0
    for name in COMMANDS:
        assert name in process.stdout

    assert min(seconds) < HELP_SECONDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(run_command, name):
    """A command that can be copied stands in every help."""
    process = run_command(name, "--help", env={"COLUMNS": "200"})

    assert process.returncode == 0
    assert f"Example: python -m embed {name}" in process.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("build-cache", "--engine", "magic"),
        ("build-cache", "--preset", "cats"),
        ("build-cache", "--limit", "0"),
        ("build-cache", "--seed", "-1"),
        ("build-cache", "--colour", "red"),
        ("bake-cache",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(run_command, arguments):
    """What was typed wrong is named, before anything is loaded."""
    process = run_command(*arguments)

    assert process.returncode == 2
    assert process.stdout == ""
    assert arguments[-2 if len(arguments) > 1 else 0] in process.stderr


@pytest.fixture(name="build_arguments")
def _build_arguments(tiny_request):
    """The options that build the tiny cache."""
    return (
        *("build-cache", "--json", "--image-size", 8),
        *("--dataset", tiny_request.source.dataset),
        *("--backbone", tiny_request.backbone.handle),
        *("--engine", "tensorflow"),
    )


def test_build_reports_what_the_contract_says(
    run_command, build_arguments, tmp_path
):
    """One JSON object on stdout, progress on stderr, a cache on disk."""
    process = run_command(*build_arguments)

    answer = json.loads(process.stdout)
    assert process.returncode == 0
    assert (tmp_path / answer["cache"]).is_file()
    assert answer["fingerprint"] in answer["cache"]
    assert answer["num_images"] == {"train": 30, "test": 12}
    assert (answer["num_views"], answer["feature_dim"]) == (2, 4)
    assert (answer["num_computed"], answer["num_skipped"]) == (84, 0)
    assert answer["engine"] == "tensorflow"
    assert answer["seconds"] > 0
    assert answer["views_per_second"] > 0
    stages = {"read", "decode", "forward", "write", "pass", "total"}
    assert set(answer["seconds_by_stage"]) == stages
    assert "Embedding" in process.stderr
    assert "(100%)" in process.stderr


@pytest.mark.usefixtures("tiny_cache")
def test_info_and_list_find_the_newest(run_command):
    """With no argument at all they show what was built last."""
    info = run_command("info")
    listed = json.loads(run_command("list", "--json").stdout)

    assert "backbone: hub:local" in info.stdout
    assert "class_names: cat, dog, été" in info.stdout
    assert [row["status"] for row in listed["caches"]] == ["complete"]


@pytest.mark.parametrize("arguments", [("info",), ("info", "none.h5")])
def test_no_cache_is_one_line(run_command, arguments):
    """Exit code 1 and the command that builds one."""
    process = run_command(*arguments)

    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: There is no ")
    assert "`python -m embed build-cache`" in line
