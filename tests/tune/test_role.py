"""Tests for `tune.role`."""

import pytest

from embed.errors import PipelineError
from tune.role import Address
from tune.role import Role
from tune.role import read_role

WORKER = Role("a", Address("10.0.0.5", 8000))


def test_without_variables_there_is_no_role():
    """A search on one machine needs none of them."""
    assert read_role({"PATH": "x"}) is None


def test_the_variables_are_those_of_keras_tuner():
    """A role is read from what it says of itself."""
    assert WORKER.variables == {
        "KERASTUNER_TUNER_ID": "a",
        "KERASTUNER_ORACLE_IP": "10.0.0.5",
        "KERASTUNER_ORACLE_PORT": "8000",
    }
    assert read_role(WORKER.variables) == WORKER


@pytest.mark.parametrize(
    ("name", "is_chief"),
    [("chief", True), ("my-chief-1", True), ("a", False), ("tuner0", False)],
)
def test_a_name_with_chief_in_it_makes_the_chief(name, is_chief):
    """As KerasTuner has it."""
    assert Role(name, WORKER.address).is_chief is is_chief


@pytest.mark.parametrize("host", ["localhost", "gpu-1.example.org", "[::1]"])
def test_names_and_both_kinds_of_addresses_are_taken(host):
    """The chief is where they say."""
    role = read_role({**WORKER.variables, "KERASTUNER_ORACLE_IP": host})

    assert str(role.address) == f"{host}:8000"


@pytest.mark.parametrize(
    "changes",
    [
        {"KERASTUNER_TUNER_ID": None},
        {"KERASTUNER_TUNER_ID": ""},
        {"KERASTUNER_ORACLE_IP": None},
        {"KERASTUNER_ORACLE_IP": "http://10.0.0.5"},
        {"KERASTUNER_ORACLE_IP": "10.0.0.5:8000"},
        {"KERASTUNER_ORACLE_PORT": None},
        {"KERASTUNER_ORACLE_PORT": "0"},
        {"KERASTUNER_ORACLE_PORT": "65536"},
        {"KERASTUNER_ORACLE_PORT": "eight"},
    ],
)
def test_what_says_half_or_nonsense_is_one_error(changes):
    """It says what is set, what is expected, and how to unset it."""
    variables = {
        name: value
        for name, value in {**WORKER.variables, **changes}.items()
        if value is not None
    }

    with pytest.raises(PipelineError, match="`unset KERASTUNER_") as raised:
        read_role(variables)

    for name, value in variables.items():
        assert f"{name}={value!r}" in str(raised.value)
