"""What trains the heads of a search, and the rows it trains them on."""

from collections.abc import Sequence

from embed.cache import FeatureCache
from embed.errors import PipelineError
from embed.rows import Rows
from embed.splits import split_folds
from embed.stream import Reader
from embed.stream import RowStream
from head.refit import take_train_and_val
from tune.folds import FoldedTrainer
from tune.spec import SearchSpec
from tune.steps import Steps
from tune.vectorized import VectorizedTrainer

Trainer = VectorizedTrainer | FoldedTrainer
TrainAndVal = tuple[Rows | RowStream, Rows | RowStream]


def take_folds(
    cache: FeatureCache, spec: SearchSpec, read: Reader
) -> list[TrainAndVal]:
    """Reads the rows to train on and those to score by, of each fold.

    Args:
        cache: Where they lie.
        spec: Of the search; without folds there is one.
        read: What gives the rows of a selection.

    Raises:
        PipelineError: If there are too few images.
    """
    if spec.folds == 1:
        return [take_train_and_val(cache, read)]
    folds = split_folds(cache.image_ids("train"), spec.folds)
    sizes = [0 if f.val.rows is None else len(f.val.rows) for f in folds]
    if not min(sizes):
        raise PipelineError(
            f"The cache {cache.path} has too few images for {spec.folds} "
            f"folds. Expected: one each at least. Received: {sizes}. Give "
            "fewer with `--folds`."
        )
    return [(read(fold.train), read(fold.val)) for fold in folds]


def create_trainer(
    cache: FeatureCache,
    spec: SearchSpec,
    read: Reader,
    folds: Sequence[TrainAndVal] | None = None,
) -> Trainer:
    """Creates what trains heads on the rows of a cache.

    Args:
        cache: Where they lie.
        spec: Of the search; says whether there are folds.
        read: What gives the rows of a selection.
        folds: What `take_folds` returns, if it was called.

    Raises:
        PipelineError: If there are too few images.
    """
    folds = folds or take_folds(cache, spec, read)
    num_classes = len(cache.spec.class_names)
    steps = Steps(num_classes)  # Their graphs are the same on all folds.
    trainers = [
        VectorizedTrainer(
            train=train,
            val=val,
            num_classes=num_classes,
            seed=spec.seed,
            steps=steps,
        )
        for train, val in folds
    ]
    if len(trainers) == 1:
        return trainers[0]
    return FoldedTrainer(trainers, [len(val) for _, val in folds])
