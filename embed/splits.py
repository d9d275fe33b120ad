"""Train and validation rows, carved out of the source's train split.

An image goes to validation when the hash of its id falls below a threshold.
Each image is judged by itself: shares are approximate, no seed is involved,
the order does not matter, and adding images never moves an old one. All views
of an image stay on its side.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

VAL_SHARE = 0.2  # One image in five: 16 of the 80 a breed that the pets have.
TEST_SHARE = 0.2  # For folders that come without a test split.
HASH_RANGE = 2**64


@dataclasses.dataclass(frozen=True)
class Selection:
    """Some rows of one split of a cache.

    Args:
        split: `"train"` or `"test"`, as in the source.
        rows: Row numbers `(num_rows,)`, ascending; `None` for all.
    """

    split: str
    rows: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class TrainSplit:
    """The train split of a source, divided.

    Args:
        train: Rows to fit on.
        val: Rows to choose by.
    """

    train: Selection
    val: Selection


def split_train(
    image_ids: Sequence[str], val_share: float = VAL_SHARE
) -> TrainSplit:
    """Divides the rows of the train split by the hash of each image id.

    Args:
        image_ids: Ids of the train split in row order.
        val_share: Share that goes to validation, approximately.
    """
    in_val = is_held_out(image_ids, val_share, salt="val")
    return TrainSplit(
        train=Selection("train", np.flatnonzero(~in_val)),
        val=Selection("train", np.flatnonzero(in_val)),
    )


def split_folds(
    image_ids: Sequence[str], num_folds: int
) -> tuple[TrainSplit, ...]:
    """Divides the train split in several ways; each image is in one `val`.

    Args:
        image_ids: Ids of the train split in row order.
        num_folds: Number of ways; a `val` has about that share of the images.
    """
    folds = np.array(
        [hash_id(image_id, "fold") % num_folds for image_id in image_ids], int
    )
    return tuple(
        TrainSplit(
            train=Selection("train", np.flatnonzero(folds != fold)),
            val=Selection("train", np.flatnonzero(folds == fold)),
        )
        for fold in range(num_folds)
    )


def is_held_out(
    image_ids: Sequence[str], share: float, salt: str
) -> np.ndarray:
    """Tells for each id whether its hash falls into the held-out share.

    Args:
        image_ids: Ids, each judged by itself.
        share: Fraction of all ids that is held out, approximately.
        salt: Name of the split; different salts give independent splits.

    Returns:
        Booleans `(num_images,)`.
    """
    hashes = [hash_id(image_id, salt) for image_id in image_ids]
    return np.array([value < share * HASH_RANGE for value in hashes], bool)


def hash_id(image_id: str, salt: str) -> int:
    """Returns 64 evenly spread bits that depend on id and salt alone."""
    digest = hashlib.sha256(f"{salt}\0{image_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def sample_rows(image_ids: Sequence[str], count: int, salt: str) -> np.ndarray:
    """Returns the rows of smallest hash, ascending: the same every time.

    Args:
        image_ids: Ids, of which the rows depend alone.
        count: Largest number of rows.
        salt: Name of the purpose; different salts give independent samples.
    """
    hashes = [hash_id(image_id, salt) for image_id in image_ids]
    return np.sort(np.argsort(hashes, kind="stable")[:count])


def sample_strata(
    image_ids: Sequence[str], strata: np.ndarray, count: int, salt: str
) -> np.ndarray:
    """Returns rows of every stratum, each of which keeps its share, ascending.

    In each stratum the rows of smallest hash come first. One row of each is
    taken; then rows are dealt like seats by the method of Sainte-Laguë, the
    next one to the stratum that is owed most. So a larger sample holds every
    row of a smaller one.

    Args:
        image_ids: Ids, of which and the strata the rows depend alone.
        strata: A number for each, equal for those of one stratum.
        count: Number of rows; of fewer than strata some have none.
        salt: Name of the purpose; different salts give independent samples.
    """
    hashes = np.fromiter(
        (hash_id(image_id, salt) for image_id in image_ids),
        np.uint64,
        len(image_ids),
    )
    _, numbers, sizes = np.unique(
        strata, return_inverse=True, return_counts=True
    )
    order = np.lexsort((hashes, numbers))
    firsts = np.cumsum(sizes) - sizes
    num_before = np.empty(len(order), np.int64)  # Of smaller hash, in each.
    num_before[order] = np.arange(len(order)) - np.repeat(firsts, sizes)
    turns = (num_before + 0.5) / sizes[numbers]
    turns[num_before == 0] = 0.0
    return np.sort(np.lexsort((hashes, turns))[:count])
