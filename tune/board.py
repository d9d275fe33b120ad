"""The trials of a search for TensorBoard's HParams page.

In the folder of the search:

    tensorboard/ID/     a run a trial, ID as in `trials/`: hyperparameters of
                        its spec, and `val_accuracy` and `val_loss` after its
                        last epoch

Nobody reads them but TensorBoard: `tensorboard --logdir artifacts/searches`.
The records of the trials say all that is in them, so that a search that goes
on writes them anew instead of asking what a killed one had written.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary

from head.spec import HeadSpec
from tune.trials import TrialRecord

BOARD = "tensorboard"
METRICS = ("val_accuracy", "val_loss")
NOT_SHOWN = {"fingerprint", "others"}  # The same in all trials of a search.


class Board:
    """The runs of one search.

    Args:
        folder: Of the search. What an earlier call wrote is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._runs_dir = folder / BOARD
        self._search = folder.name
        self._written: dict[str, TrialRecord] = {}
        shutil.rmtree(self._runs_dir, ignore_errors=True)

    def update(self, records: Iterable[TrialRecord]) -> None:
        """Writes the runs of trials that have none yet.

        A trial that failed has hyperparameters and no metrics, and its run
        the status of a failure.

        Args:
            records: All that there are, or those that are new.
        """
        for record in records:
            if self._written.get(record.trial_id) is not record:
                self._write(record)
                self._written[record.trial_id] = record

    def _write(self, record: TrialRecord) -> None:
        path = self._runs_dir / record.trial_id
        shutil.rmtree(path, ignore_errors=True)  # Of another spec.
        is_done = record.status == "completed"
        status = api_pb2.STATUS_SUCCESS if is_done else api_pb2.STATUS_FAILURE
        end = summary.session_end_pb(status).SerializeToString()
        step = record.spec.epochs
        writer = tf.summary.create_file_writer(str(path))
        with writer.as_default():
            # One page shows several searches: ids of trials are in all.
            name = f"{self._search}/{record.trial_id}"
            api.hparams(_hyperparameters_of(record.spec), trial_id=name)
            for metric in METRICS:
                value = getattr(record, metric)
                if value is not None:
                    tf.summary.scalar(metric, value, step=step)
            tf.summary.experimental.write_raw_pb(end, step=step)
        writer.close()


def _hyperparameters_of(spec: HeadSpec) -> dict[str, bool | float | str]:
    """Returns those that the head has: a dense one has no temperature."""
    fields = spec.model_dump(exclude=NOT_SHOWN)
    return {name: value for name, value in fields.items() if value is not None}
