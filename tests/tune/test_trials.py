"""Tests for `tune.trials`."""

import numpy as np
import pytest

from embed.errors import PipelineError
from head.spec import HeadSpec
from tune.trials import TrialRecord
from tune.trials import TrialStore
from tune.trials import rank_trials
from tune.trials import read_trials


def create_record(trial_id, val_accuracy=0.5, val_loss=1.0, **spec):
    """Returns a completed trial, or a failed one without accuracy."""
    return TrialRecord(
        trial_id=trial_id,
        spec=HeadSpec(**spec),
        status="failed" if val_accuracy is None else "completed",
        val_accuracy=val_accuracy,
        val_loss=None if val_accuracy is None else val_loss,
        seconds=1.5,
    )


def test_best_first():
    """Accuracy, then loss, then number; the failed ones come last."""
    records = [
        create_record("9", 0.8, 0.5),
        create_record("10", 0.8, 0.5),
        create_record("3", None),
        create_record("2", 0.8, 0.4),
        create_record("1", 0.9, 9.0),
        create_record("reference", 0.8, 0.5),
    ]

    ranked = [record.trial_id for record in rank_trials(records)]

    assert ranked == ["1", "2", "reference", "9", "10", "3"]


def test_records_round_trip(tmp_path):
    """What is stored is what is read, to the last bit of a score."""
    record = create_record("0", 0.1 + 0.2, 1 / 3, dropout=0.123)

    TrialStore(tmp_path / "trials", tmp_path / "states").add(record)

    assert (
        TrialStore(tmp_path / "trials", tmp_path / "states").find(
            "0", record.spec
        )
        == record
    )
    assert read_trials(tmp_path / "trials") == [record]


def test_a_record_of_another_spec_is_not_used(tmp_path):
    """A trial is looked up by number and by what was trained."""
    store = TrialStore(tmp_path, tmp_path / "states")
    store.add(create_record("0", fingerprint="one"))

    assert store.find("0", HeadSpec(fingerprint="other")) is None
    assert store.find("1", HeadSpec(fingerprint="one")) is None


def test_half_a_file_is_no_record(tmp_path):
    """A kill while writing leaves nothing that a later run would read."""
    (tmp_path / "0.json.part").write_text("{")

    assert read_trials(tmp_path) == []


def test_a_foreign_file_is_named(tmp_path):
    """A file that is no record is one error that says what to do."""
    (tmp_path / "0.json").write_text("{}")

    with pytest.raises(PipelineError, match="run the search again"):
        read_trials(tmp_path)


@pytest.mark.parametrize("left", [0, 40, -30])
def test_half_a_state_is_none(tmp_path, left):
    """As a power loss leaves it: the training begins anew."""
    store = TrialStore(tmp_path, tmp_path / "states")
    store.save_state("0", [np.ones(3), np.zeros((2, 2))])
    path = tmp_path / "states" / "0.npz"
    path.write_bytes(path.read_bytes()[:left])

    assert store.load_state("0") is None


def test_states_round_trip_until_they_are_forgotten(tmp_path):
    """Every array in its place and shape."""
    store = TrialStore(tmp_path / "trials", tmp_path / "states")
    state = [np.arange(6.0).reshape(2, 3), np.zeros(0), np.ones(1)]

    store.save_state("3", state)
    again = TrialStore(tmp_path / "trials", tmp_path / "states")

    for found, expected in zip(again.load_state("3"), state, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert again.load_state("4") is None
    again.forget_states()
    assert again.load_state("3") is None
