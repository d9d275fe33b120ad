"""What trains the heads of a search."""

from tune.folds import FoldedTrainer
from tune.search_rows import SearchRows
from tune.steps import Steps
from tune.vectorized import VectorizedTrainer

Trainer = VectorizedTrainer | FoldedTrainer


def create_trainer(rows: SearchRows, seed: int) -> Trainer:
    """Creates what trains heads on the rows of a search.

    Args:
        rows: Are read now, where they are not held yet.
        seed: Of every training.

    Raises:
        PipelineError: If there are too few images.
    """
    steps = Steps(rows.num_classes)  # Their graphs are the same on all folds.
    trainers = [
        VectorizedTrainer(
            train=train,
            val=val,
            num_classes=rows.num_classes,
            seed=seed,
            steps=steps,
        )
        for train, val in rows.folds
    ]
    if len(trainers) == 1:
        return trainers[0]
    return FoldedTrainer(trainers, [len(val) for _, val in rows.folds])
