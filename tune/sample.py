"""Which rows of a cache a search trains and scores heads on.

All of the train split, or a sample of them: `--rows N`. The sample is drawn by
the hash of the image id, as the validation part is. Each class keeps its share
of either part, and one image of it at least. It depends on the cache and on the
number alone: all trials, workers and resumed searches have the same rows, and a
larger sample holds those of a smaller one. The test split is not read.
"""

import numpy as np

from embed.cache import FeatureCache
from embed.errors import PipelineError
from embed.splits import Selection
from embed.splits import TrainSplit
from embed.splits import sample_strata
from embed.splits import split_folds
from embed.stream import measure_rows
from head.refit import divide_train
from tune.spec import SearchSpec

TRAIN = "train"
SALT = "rows"  # Of the hash, so that it is independent of the other splits.
# Of the memory limit that a sample should take which is proposed: half of the
# free memory by default, so that baselines have room for their copies too.
MEMORY_SHARE = 0.4
NUM_DIGITS = 2  # Of the number of rows that is proposed.


def divide_rows(cache: FeatureCache, spec: SearchSpec) -> list[TrainSplit]:
    """Returns the rows to train on and those to score by, of each fold.

    Args:
        cache: Where they lie.
        spec: Of the search; without folds there is one.

    Raises:
        PipelineError: If there are too few images.
    """
    splits = _divide_all(cache, spec.folds)
    if spec.rows is None:
        return splits
    strata = _find_strata(cache, splits)
    least = len(np.unique(strata))
    if spec.rows < least:
        places = "training and validation" if spec.folds == 1 else "each fold"
        raise PipelineError(
            f"The sample of the cache {cache.path} is too small to search on. "
            f"Expected: at least {least} rows, one image of each class in "
            f"{places}. Received: {spec.rows}. Give more with "
            f"`--rows {least}`; ten times as many tell heads apart better."
        )
    rows = sample_strata(cache.image_ids(TRAIN), strata, spec.rows, SALT)
    return [
        TrainSplit(_keep(split.train, rows), _keep(split.val, rows))
        for split in splits
    ]


def suggest_sample(
    cache: FeatureCache,
    spec: SearchSpec,
    splits: list[TrainSplit],
    memory_limit: int,
) -> str:
    """Returns what would let a search hold its rows in memory, or `""`.

    Args:
        cache: What is searched on.
        spec: Of the search.
        splits: What `divide_rows` returns of it.
        memory_limit: Bytes that features may take in each process.
    """
    row_bytes = spec.folds * measure_rows(cache, 1)  # Each fold has its own.
    num_rows = spec.rows or cache.num_images[TRAIN]
    if num_rows * row_bytes <= memory_limit:
        return ""
    num_held = int(MEMORY_SHARE * memory_limit) // row_bytes
    unit = 10 ** max(len(str(num_held)) - NUM_DIGITS, 0)
    num_held -= num_held % unit
    if num_held < len(np.unique(_find_strata(cache, splits))):
        return ""
    return (
        "The rows of this search are streamed. A sample that is held in "
        f"memory is faster: `--rows {num_held}`, which is another search."
    )


def _divide_all(cache: FeatureCache, num_folds: int) -> list[TrainSplit]:
    """Divides all rows of the train split."""
    if num_folds == 1:
        return [divide_train(cache)]
    folds = split_folds(cache.image_ids(TRAIN), num_folds)
    sizes = [0 if f.val.rows is None else len(f.val.rows) for f in folds]
    if not min(sizes):
        raise PipelineError(
            f"The cache {cache.path} has too few images for {num_folds} "
            f"folds. Expected: one each at least. Received: {sizes}. Give "
            "fewer with `--folds`."
        )
    return list(folds)


def _find_strata(cache: FeatureCache, splits: list[TrainSplit]) -> np.ndarray:
    """Returns a number for each row: equal ones are of one class and part."""
    parts = np.zeros(cache.num_images[TRAIN], np.int64)
    for number, split in enumerate(splits, 1):
        parts[split.val.rows] = number
    parts *= len(cache.spec.class_names)
    parts += cache.labels(TRAIN)
    return parts


def _keep(selection: Selection, rows: np.ndarray) -> Selection:
    """Returns what of a selection is among some rows."""
    kept = np.intersect1d(np.asarray(selection.rows), rows)
    return Selection(selection.split, kept)
