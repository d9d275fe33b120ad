"""What the validation images decide of a head before it is refit.

The temperature, and the views that are averaged at test time. Of a great many
images a sample decides: the logits of two million would fill a memory that
their features are only streamed through.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from embed.cache import FeatureCache
from embed.rows import Rows
from embed.splits import Selection
from embed.splits import sample_rows
from embed.splits import split_train
from embed.stream import Reader
from embed.stream import RowStream
from head.ensemble import answer_views
from head.evaluating.calibration import fit_temperature
from head.evaluating.view_choice import choose_views

if TYPE_CHECKING:
    import keras

# Of two views and 1,000 classes those of 16,777 images, in 134 MB: far more
# than the two digits that are wanted of a temperature.
MOST_LOGITS = 2**25
SALT = "decide"


@dataclasses.dataclass(frozen=True)
class Decisions:
    """What was decided.

    Args:
        temperature: By which logits are divided to be calibrated.
        tta_views: Views that are averaged where more than one is asked for.
    """

    temperature: float
    tta_views: tuple[str, ...]


def decide(
    head: "keras.Model",
    cache: FeatureCache,
    val: Rows | RowStream,
    read: Reader,
) -> Decisions:
    """Decides by the validation images, or a sample of them.

    Args:
        head: Features to logits, not trained on these images.
        cache: Where they lie.
        val: All of them.
        read: What gives the rows of a selection.

    Raises:
        CorruptCacheError: If a row is not what was written.
    """
    names = cache.spec.views
    most = max(MOST_LOGITS // (len(names) * len(cache.spec.class_names)), 1)
    if len(val) > most:
        val = read(_sample_val(cache, most))
    logits, labels = answer_views(head, val, num_answered=len(names))
    return Decisions(
        temperature=fit_temperature(logits[:, 0], labels),
        tta_views=choose_views(logits, labels, names),
    )


def _sample_val(cache: FeatureCache, count: int) -> Selection:
    """Returns some of the validation rows, the same every time."""
    ids = cache.image_ids("train")
    rows = np.asarray(split_train(ids).val.rows)
    places = sample_rows([ids[row] for row in rows.tolist()], count, SALT)
    return Selection("train", rows[places])
