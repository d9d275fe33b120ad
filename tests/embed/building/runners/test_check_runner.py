"""Tests for `embed.building.runners`: what is refused before anything else."""

import dataclasses
import importlib.util
import socket

import pytest

from embed.building.runners import check_runner
from embed.errors import RunnerError
from embed.extract import build_cache


@pytest.fixture(name="check")
def _check(tiny_request):
    """Checks a request with some fields of its own."""

    def check(**fields):
        check_runner(dataclasses.replace(tiny_request, **fields))

    return check


def test_what_needs_no_cluster_is_taken(check):
    """One process, or some."""
    check()
    check(num_workers=4)


@pytest.mark.parametrize(
    ("fields", "option"),
    [
        ({"address": "auto"}, "--address"),
        ({"gpus_per_worker": 1}, "--gpus-per-worker"),
    ],
)
def test_options_of_a_cluster_are_not_passed_over(check, fields, option):
    """Whoever gives one means a cluster."""
    with pytest.raises(RunnerError, match=f"{option}.*`--runner ray` with it"):
        check(**fields)


def test_a_missing_extra_is_named(tiny_request, tmp_path, monkeypatch):
    """Before pictures or backbone are looked at."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "ray" else found(name),
    )

    with pytest.raises(
        RunnerError, match=r"Ray is not installed.*headstart\[distributed\]"
    ):
        build_cache(
            dataclasses.replace(tiny_request, runner="ray"),
            artifacts_dir=tmp_path,
        )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"gpus_per_worker": 1.5}, "cannot have 1.5 GPUs"),
        ({"address": "nonsense"}, "HOST:PORT.*Received: 'nonsense'"),
        ({"address": "head:x"}, "HOST:PORT.*Received: 'head:x'"),
    ],
)
def test_what_no_cluster_can_be_asked_is_refused(check, fields, problem):
    """In one line, and not by what Ray raises."""
    pytest.importorskip("ray")

    with pytest.raises(RunnerError, match=problem):
        check(runner="ray", **fields)


def test_an_address_at_which_nobody_listens_is_refused(check):
    """At once: Ray itself would try for minutes."""
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

        with pytest.raises(
            RunnerError, match=rf"no Ray cluster at {address}.*ray start"
        ):
            check(runner="ray", address=address)
