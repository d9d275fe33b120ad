"""Tests for `tune.board`."""

import os
import threading

import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

from head.spec import HeadSpec
from tests.stopping_console import StoppingConsole
from tune.board import METRICS
from tune.board import Board
from tune.trials import TrialRecord

NUM_TRIALS = 200
# A trial takes 1 to 3 ms on 2 cores; another process may have them meanwhile.


def create_record(trial_id, **fields):
    """Returns the record of a trial that is right on 90 %."""
    scores = {"status": "completed", "val_accuracy": 0.9, "val_loss": 0.4}
    spec = HeadSpec(**fields.pop("spec", {}))
    scores |= fields
    return TrialRecord(trial_id=trial_id, spec=spec, seconds=1.0, **scores)


def read_runs(folder):
    """Reads back by run what TensorBoard would show.

    Returns:
        Of each the session's start, its status and the metrics.
    """
    runs = {}
    for path in sorted((folder / "tensorboard").iterdir()):
        assert len(list(path.iterdir())) == 1
        events = EventAccumulator(str(path)).Reload()
        plugin = events.PluginTagToContent("hparams")
        start, end = (
            plugin_data_pb2.HParamsPluginData.FromString(plugin[tag])
            for tag in (
                "_hparams_/session_start_info",
                "_hparams_/session_end_info",
            )
        )
        metrics = {}
        for tag in set(METRICS) & set(events.Tags()["tensors"]):
            [event] = events.Tensors(tag)
            value = tensor_util.make_ndarray(event.tensor_proto).item()
            metrics[tag] = event.step, value
        runs[path.name] = (
            start.session_start_info,
            end.session_end_info.status,
            metrics,
        )
    return runs


def test_a_run_has_hyperparameters_and_metrics(tmp_path):
    """As TensorBoard reads them: every field that the head has."""
    fields = {"temperature": 0.05, "view_mixing": True, "schedule": "cosine"}
    record = create_record("07", spec=fields)

    Board(tmp_path).update([record])

    [(name, (start, status, metrics))] = read_runs(tmp_path).items()
    shown = {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in start.hparams.items()
    }
    assert name == "07"
    assert start.group_name == f"{tmp_path.name}/07"
    assert shown == record.spec.model_dump(exclude={"fingerprint", "others"})
    assert status == api_pb2.STATUS_SUCCESS
    assert metrics == {
        "val_accuracy": (30, pytest.approx(0.9)),
        "val_loss": (30, pytest.approx(0.4)),
    }


def test_a_dense_head_has_no_temperature(tmp_path):
    """Its place in the table stays empty."""
    Board(tmp_path).update([create_record("reference")])

    [(start, _, _)] = read_runs(tmp_path).values()
    assert "temperature" not in start.hparams
    assert start.hparams["dropout"].number_value == 0.25


def test_a_failed_trial_has_no_metrics(tmp_path):
    """It is there with its hyperparameters and as a failure."""
    failed = create_record(
        "0", status="failed", val_accuracy=None, val_loss=None
    )

    Board(tmp_path).update([failed])

    [(start, status, metrics)] = read_runs(tmp_path).values()
    assert start.hparams["epochs"].number_value == 30
    assert (status, metrics) == (api_pb2.STATUS_FAILURE, {})


def test_what_is_written_is_not_written_again(tmp_path):
    """All records may be given each time; a changed one is written anew."""
    board = Board(tmp_path)
    records = [create_record("0"), create_record("1")]
    board.update(records[:1])
    [first] = (tmp_path / "tensorboard" / "0").iterdir()

    board.update(records)
    assert [first] == list((tmp_path / "tensorboard" / "0").iterdir())

    board.update([create_record("0", val_loss=0.3), records[1]])
    runs = read_runs(tmp_path)
    assert runs.keys() == {"0", "1"}
    assert runs["0"][2]["val_loss"] == (30, pytest.approx(0.3))


def test_a_search_shows_all_of_its_trials(search, train_at_once):
    """The reference recipe too."""
    result = search()

    runs = read_runs(result.path)

    assert runs.keys() == {trial.trial_id for trial in result.trials}
    for trial in result.trials:
        _, _, metrics = runs[trial.trial_id]
        accuracy = pytest.approx(trial.val_accuracy)
        assert metrics["val_accuracy"] == (trial.spec.epochs, accuracy)
    assert len(train_at_once) == len(runs)


@pytest.mark.usefixtures("train_at_once")
def test_a_search_that_goes_on_shows_each_trial_once(search, tmp_path):
    """Also one whose run a kill left unwritten or cut off."""
    with pytest.raises(KeyboardInterrupt):
        search(console=StoppingConsole(4))
    lost, cut, *_ = tmp_path.glob("artifacts/searches/.building/*/*board/*")
    [events] = lost.iterdir()
    events.unlink()
    lost.rmdir()
    [events] = cut.iterdir()
    events.write_bytes(events.read_bytes()[:100])

    result = search()

    assert read_runs(result.path).keys() == {t.trial_id for t in result.trials}


def test_trials_leave_nothing_behind(tmp_path):
    """No file stays open and no thread is left, however many there are."""
    board = Board(tmp_path)
    write_some(board, "first")
    before = len(os.listdir("/proc/self/fd")), threading.active_count()

    write_some(board, "more")

    after = len(os.listdir("/proc/self/fd")), threading.active_count()
    assert after == before
    assert len(os.listdir(tmp_path / "tensorboard")) == 2 * NUM_TRIALS


def write_some(board, name):
    """Writes some trials one after the other."""
    records = [create_record(f"{name}{n}") for n in range(NUM_TRIALS)]
    for number in range(NUM_TRIALS):
        board.update(records[: number + 1])
