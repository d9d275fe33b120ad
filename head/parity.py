"""The parity gate: a stitched model answers what the cached head answers.

It compares logits on train and validation pictures, from their encoded bytes;
the test split is never read.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np

from embed.cache import FeatureCache
from embed.errors import PipelineError
from embed.origin import read_pictures
from embed.rows import Rows
from embed.splits import Selection
from embed.splits import sample_rows

NUM_IMAGES = 256  # At most: a few seconds of the stitched model on a CPU.
BATCH_SIZE = 32  # Pictures a call.


class ParityError(PipelineError, ValueError):
    """A stitched model does not answer what the cached head answers."""


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far a stitched model may be from the cached head.

    Args:
        share: Of the largest logit, or of 1 where that is less.
        top1_agreement: Smallest share of pictures with the same first class.
    """

    share: float
    top1_agreement: float


# By precision and dtype of the cache. In float32 only the order of additions
# differs. A float16 vector is rounded to 11 bits, 5e-4. With bfloat16's 8 bits
# in each of 50 layers logits moved by 0.07 (pets) and 0.14 (digits) of the
# largest, and 100 % and 99.2 % of the first classes stayed.
TOLERANCES = {
    ("float32", "float32"): Tolerance(share=1e-4, top1_agreement=1.0),
    ("float32", "float16"): Tolerance(share=2e-3, top1_agreement=0.99),
    ("bfloat16", "float32"): Tolerance(share=0.2, top1_agreement=0.97),
    ("bfloat16", "float16"): Tolerance(share=0.2, top1_agreement=0.97),
}


@dataclasses.dataclass(frozen=True)
class Parity:
    """How far a stitched model is from the cached head.

    Args:
        max_abs_diff: Largest difference of a logit.
        top1_agreement: Share of pictures with the same first class.
        num_images: Pictures compared.
        tolerance: Largest `max_abs_diff` that passes.
    """

    max_abs_diff: float
    top1_agreement: float
    num_images: int
    tolerance: float


@dataclasses.dataclass(frozen=True)
class ParitySample:
    """Pictures of the train split and what the cached head says of them.

    Args:
        rows: Their rows in the cache.
        encoded: Their bytes.
        logits: Of the cached head, `(num_images, num_classes)`.
    """

    rows: Rows
    encoded: tuple[bytes, ...]
    logits: np.ndarray


def draw_parity_sample(
    cache: FeatureCache, logits_of: Callable[[np.ndarray], np.ndarray]
) -> ParitySample:
    """Reads the pictures of smallest hash: the same ones every time.

    Args:
        cache: Where features, ids and the way to the pictures come from.
        logits_of: The cached head, features
            `(num_images, num_views, feature_dim)` to logits.
    """
    sample = sample_rows(cache.image_ids("train"), NUM_IMAGES, salt="parity")
    rows = cache.take(Selection("train", sample))
    return ParitySample(
        rows=rows,
        encoded=tuple(read_pictures(cache, "train", rows.image_ids)),
        logits=logits_of(rows.features),
    )


def check_parity(
    name: str,
    answer: Callable[[Sequence[bytes]], Any],
    sample: ParitySample,
    cache: FeatureCache,
) -> Parity:
    """Compares a model with the cached head.

    Args:
        name: What the model is, for the error.
        answer: Encoded pictures, a batch of them, to logits.
        sample: What to compare on.
        cache: Its precision sets the tolerance.

    Raises:
        ParityError: If they differ by more than the tolerance.
    """
    logits = np.concatenate(
        [
            np.asarray(answer(sample.encoded[start : start + BATCH_SIZE]))
            for start in range(0, len(sample.encoded), BATCH_SIZE)
        ]
    )
    allowed = TOLERANCES[cache.spec.precision, cache.spec.dtype]
    is_same = logits.argmax(-1) == sample.logits.argmax(-1)
    parity = Parity(
        max_abs_diff=float(np.abs(logits - sample.logits).max()),
        top1_agreement=float(is_same.mean()),
        num_images=len(logits),
        tolerance=allowed.share * max(1.0, float(np.abs(sample.logits).max())),
    )
    if not (
        parity.max_abs_diff <= parity.tolerance
        and parity.top1_agreement >= allowed.top1_agreement
    ):
        raise ParityError(
            f"The {name} does not answer what the head answers on cached "
            f"features, and nothing was exported. Expected: logits within "
            f"{parity.tolerance:.1e} and {allowed.top1_agreement:.0%} of the "
            f"first classes. Received: {parity.max_abs_diff:.1e} and "
            f"{parity.top1_agreement:.1%} on {parity.num_images} pictures. The "
            "pictures or the backbone have changed since the cache was built: "
            "build it again with `python -m embed build-cache --overwrite`."
        )
    return parity
