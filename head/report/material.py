"""All that a report shows, gathered."""

import csv
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from embed.cache import FeatureCache
from embed.console import Console
from head.evaluating.evaluation_file import ARRAYS
from head.evaluating.judge import judge_run
from head.report.confusion import ConfusedPair
from head.report.confusion import count_answers
from head.report.confusion import most_confused
from head.report.cost import Cost
from head.report.cost import count_cost
from head.report.duplicates import Duplicates
from head.report.duplicates import Pair
from head.report.duplicates import find_duplicates
from head.report.feature_map import FeatureMap
from head.report.feature_map import draw_map
from head.report.predictions import Predictions
from head.report.predictions import read_predictions
from head.report.search_table import SearchTable
from head.report.search_table import find_search_table
from head.report.suspects import Suspect
from head.report.suspects import TooManyFeaturesError
from head.report.suspects import find_suspects
from head.report.thumbnails import Key
from head.run import HISTORY
from head.run import Run

# Pictures bound the size of the page: some 170 of 3 KB, and a third more as
# text, are less than a megabyte.
NUM_PAIRS, PICTURES_A_PAIR = 8, 3
NUM_MISTAKES, NUM_UNSURE = 24, 24
NUM_SUSPECTS = 40
NUM_DUPLICATES, NUM_NEAREST = 16, 4  # And if none is close enough, these.


@dataclasses.dataclass(frozen=True)
class Material:
    """What a report shows.

    Args:
        metrics: What `head evaluate --json` says.
        predictions: What it wrote.
        history: Values by epoch, by name; empty if they are not there.
        search: Where the spec comes from, if from a search that is there.
        cost: What was measured of the time, and the reference's way.
        matrix: Test pictures by true class (row) and answer (column).
        confused: The most confused pairs.
        mistakes: Rows of the surest wrong answers.
        unsure: Rows of the least sure answers.
        map: The features in two dimensions, if there are enough.
        suspects: Training labels that are doubted.
        num_suspects: How many there are in all.
        no_suspects: Why none was looked for, or `""`.
        duplicates: The nearest training picture of each test picture.
    """

    metrics: dict[str, Any]
    predictions: Predictions
    history: dict[str, list[float]]
    search: SearchTable | None
    cost: Cost
    matrix: np.ndarray
    confused: list[ConfusedPair]
    mistakes: list[int]
    unsure: list[int]
    map: FeatureMap | None
    suspects: list[Suspect]
    num_suspects: int
    no_suspects: str
    duplicates: Duplicates

    @property
    def pairs(self) -> list[Pair]:
        """The close pairs that are shown, or else the nearest ones."""
        close = self.duplicates.close[:NUM_DUPLICATES]
        return close or self.duplicates.pairs[:NUM_NEAREST]

    def wanted_pictures(self) -> Iterator[Key]:
        """Yields split and row of every picture that is shown."""
        for row in (*self.mistakes, *self.unsure):
            yield "test", row
        for confused in self.confused:
            for row in confused.rows[:PICTURES_A_PAIR]:
                yield "test", row
        for suspect in self.suspects:
            yield "train", suspect.row
        for pair in self.pairs:
            yield "test", pair.test_row
            yield "train", pair.train_row


def gather(
    run: Run,
    cache: FeatureCache,
    *,
    artifacts_dir: Path,
    groups_file: Path | None,
    console: Console,
) -> Material:
    """Measures what is not measured yet, and looks up the rest.

    What `head evaluate` has written of the run stays as it is.

    Raises:
        StaleCacheError: If the run was made on another cache.
        CorruptCacheError: If a row is not what was written.
        PipelineError: If a group names no class.
    """
    with tempfile.TemporaryDirectory() as folder:
        metrics = judge_run(
            run,
            cache,
            is_averaged=False,
            is_end_to_end=False,
            groups_file=groups_file,
            console=console,
            is_drawn=False,
            directory=Path(folder),
        )
        is_new = (Path(folder) / ARRAYS).is_file()
        predictions = read_predictions(
            Path(folder) if is_new else run.directory
        )
    search = find_search_table(artifacts_dir, run)
    matrix = count_answers(predictions)
    console.say("Looking for label faults and near-duplicates.")
    suspects: list[Suspect] = []
    num_suspects, no_suspects = 0, ""
    try:
        suspects, num_suspects = find_suspects(cache, NUM_SUSPECTS)
    except TooManyFeaturesError as error:
        no_suspects = str(error)
    duplicates = find_duplicates(cache)
    console.say("Drawing the map of the features.")
    return Material(
        metrics=metrics,
        predictions=predictions,
        history=_read_history(run.directory / HISTORY),
        search=search,
        cost=count_cost(run, cache, search),
        matrix=matrix,
        confused=most_confused(predictions, matrix, NUM_PAIRS),
        mistakes=predictions.worst_mistakes(NUM_MISTAKES),
        unsure=predictions.least_sure(NUM_UNSURE),
        map=draw_map(cache),
        suspects=suspects,
        num_suspects=num_suspects,
        no_suspects=no_suspects,
        duplicates=duplicates,
    )


def _read_history(path: Path) -> dict[str, list[float]]:
    """Returns the metrics by epoch, of a file that may be gone."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            epochs = list(csv.DictReader(file))
        return {
            name: [float(epoch[name]) for epoch in epochs]
            for name in (epochs[0] if epochs else {})
            if name != "epoch"
        }
    except (OSError, ValueError, TypeError):
        return {}
