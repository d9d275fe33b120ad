"""Tests for `head.report.search_table`."""

import json
import types

import pytest

from head.report.search_table import find_search_table
from head.spec import HeadSpec

# Of three heads: two were begun, and the better one gone on with, twice.
TRIALS = """\
rank,trial_id,status,val_accuracy,val_loss,seconds,learning_rate,epochs,message
1,3,completed,0.9,0.1,9.0,0.1,60,
2,2,completed,0.8,0.2,9.0,0.1,20,
3,0,completed,0.7,0.3,9.0,0.1,7,
4,1,completed,0.6,0.4,9.0,0.2,7,
5,ridge,baseline,0.5,,1.0,,,
6,4,failed,,,9.0,0.3,60,It diverged.
"""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"oracle": "grid"}, 60 + 20 + 7 + 7),
        ({"oracle": "grid", "folds": 5}, 5 * (60 + 20 + 7 + 7)),
        ({"oracle": "hyperband", "folds": 1}, 60 + 7),
    ],
    ids=["trials", "folds", "hyperband"],
)
def test_epochs_are_those_that_were_trained(tmp_path, spec, expected):
    """On every fold, and what Hyperband went on with once."""
    folder = tmp_path / "searches" / "digits-0"
    folder.mkdir(parents=True)
    winner = HeadSpec(learning_rate=0.1, epochs=60)
    (folder / "best.json").write_text(winner.model_dump_json())
    (folder / "trials.csv").write_text(TRIALS)
    summary = {"seconds": 36.0, "spec": spec}
    (folder / "search.json").write_text(json.dumps(summary))
    run = types.SimpleNamespace(record=types.SimpleNamespace(spec=winner))

    table = find_search_table(tmp_path, run)

    assert table.epochs == expected
    assert (table.num_rows, table.oracle) == (6, spec["oracle"])
