"""What trains the heads of a search."""

from embed.cache import FeatureCache
from embed.rows import Rows
from embed.stream import Reader
from embed.stream import RowStream
from head.refit import take_train_and_val
from tune.folds import FoldedTrainer
from tune.folds import create_folded_trainer
from tune.spec import SearchSpec
from tune.vectorized import VectorizedTrainer

Trainer = VectorizedTrainer | FoldedTrainer
TrainAndVal = tuple[Rows | RowStream, Rows | RowStream]


def create_trainer(
    cache: FeatureCache,
    spec: SearchSpec,
    read: Reader,
    rows: TrainAndVal | None = None,
) -> Trainer:
    """Reads what heads are trained and scored on.

    Args:
        cache: Where it lies.
        spec: Of the search; says whether there are folds.
        read: What gives the rows of a selection.
        rows: To train and to score on, if they have been read.

    Raises:
        PipelineError: If there are too few images.
    """
    if spec.folds > 1:
        return create_folded_trainer(
            cache, read, num_folds=spec.folds, seed=spec.seed
        )
    train, val = rows or take_train_and_val(cache, read)
    return VectorizedTrainer(
        train=train,
        val=val,
        num_classes=len(cache.spec.class_names),
        seed=spec.seed,
    )
