"""Tests for `embed.provenance`."""

import datetime

import keras
import pydantic
import pytest

from embed.provenance import Attempt
from embed.provenance import Provenance
from embed.provenance import host_name
from embed.provenance import installed_versions
from embed.provenance import now


def test_versions_are_those_that_run():
    """A cache names what its numbers may depend on."""
    versions = installed_versions()

    assert versions["keras"] == keras.__version__
    assert {"headstart", "tensorflow", "numpy", "h5py"} <= set(versions)


def test_time_has_its_zone():
    """Times of two machines can be compared."""
    read = datetime.datetime.fromisoformat(now())

    age = datetime.datetime.now(datetime.UTC) - read
    assert abs(age.total_seconds()) < 60


def test_json_round_trip(tiny_cache):
    """What is stored is read back whole."""
    provenance = tiny_cache.provenance

    read = Provenance.model_validate_json(provenance.model_dump_json())

    assert read == provenance
    assert read.attempts
    assert read.max_pixels > 0


def test_unknown_fields_are_refused(tiny_cache):
    """Nothing is stored that nobody would read."""
    fields = {**tiny_cache.provenance.model_dump(), "mood": "fine"}

    with pytest.raises(pydantic.ValidationError, match="mood"):
        Provenance.model_validate(fields)


def test_attempts_of_a_later_version_are_read():
    """A journal may say more than this version knows."""
    attempt = Attempt(
        started=now(),
        host=host_name(),
        pid=7,
        engine="litert",
        num_views=3,
        mood="fine",
    )

    assert "mood" not in attempt.model_dump()
    assert attempt.host
