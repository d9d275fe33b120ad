"""A score: how an exported file does on the test split.

The test split chooses nothing here: a format is written as it is, or not.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embed.cache import FeatureCache
from embed.origin import decode_pictures
from embed.origin import read_pictures
from embed.splits import sample_rows
from head.evaluating.metrics import softmax
from head.evaluating.metrics import top1
from head.exporting.fresh import FreshProcess
from head.exporting.parity import ParityError
from head.exporting.parity import batch_size_of
from head.exporting.pixels import needs_pictures
from head.view_model import ViewModel

if TYPE_CHECKING:
    import keras

# At most, those of smallest hash: at 80 pictures a second, as of the slowest
# format on 2 cores, 13 seconds. The standard error of a difference between two
# models that answer 3 % of them differently is half a point.
NUM_IMAGES = 1_024
MAX_PROBABILITY_DIFF = 1e-3  # In float32, where every first class is the same.
MAX_LOSS = 0.02  # Of accuracy, in 8 bits.
HEAD, STITCHED = "head", "stitched"


@dataclasses.dataclass(frozen=True)
class Score:
    """How an exported file does on test pictures.

    Args:
        top1: Share of them that it answers rightly.
        head_top1: The same of the cached head.
        reference: What it is compared with: `head`, on cached features, or
            where these are not exact `stitched`, the model in memory.
        top1_agreement: Share with the same first class as of the reference.
        max_probability_diff: Largest difference of a probability.
        num_images: Pictures it was scored on.
        num_test: Pictures that the test split has.
        milliseconds: A picture, in batches of 32 or one by one, on all cores
            of the machine that exported it.
    """

    top1: float
    head_top1: float
    reference: str
    top1_agreement: float
    max_probability_diff: float
    num_images: int
    num_test: int
    milliseconds: float


@dataclasses.dataclass(frozen=True)
class ScoringSample:
    """Test pictures, and what is to be answered for them.

    Args:
        cache: Knows the way to the pictures.
        image_ids: Ids of the pictures.
        labels: True classes `(num_images,)`.
        logits: Of the cached head `(num_images, num_classes)`.
        batch_size: Pictures a call.
        is_encoded: Whether models are given encoded pictures, not pixels.
        stitched_logits: Of the stitched model; `None` where those of the head
            are exact.
    """

    cache: FeatureCache
    image_ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray
    batch_size: int
    is_encoded: bool
    stitched_logits: np.ndarray | None = None

    def answered_by(self, model: "keras.Model | ViewModel") -> "ScoringSample":
        """Returns the sample with what a stitched model answers.

        Args:
            model: Which passed the gate: as a cache in bfloat16 has it, but
                for the rounding, which no exported file shares.

        Raises:
            SourceError: If the pictures are not there any more.
        """
        if isinstance(model, ViewModel):
            answers = [model.answer(b).mean(1) for b in self.read_encoded()]
        else:
            answers = [model.predict_on_batch(b) for b in self.read_batches()]
        return dataclasses.replace(
            self, stitched_logits=np.concatenate(answers)
        )

    def read_batches(self) -> Iterator[np.ndarray]:
        """Yields pixels, a few pictures at a time: none are kept.

        Raises:
            SourceError: If the pictures are not there any more.
        """
        images = decode_pictures(self.cache, "test", self.image_ids)
        while batch := list(itertools.islice(images, self.batch_size)):
            yield np.stack(batch)

    def read_encoded(self) -> Iterator[list[bytes]]:
        """Yields the bytes of a few pictures at a time.

        Raises:
            SourceError: If the pictures are not there any more.
        """
        encoded = read_pictures(self.cache, "test", self.image_ids)
        while batch := list(itertools.islice(encoded, self.batch_size)):
            yield batch


def draw_scoring_sample(
    cache: FeatureCache, logits: np.ndarray, views: Sequence[str]
) -> ScoringSample:
    """Returns the test pictures of smallest hash.

    Args:
        cache: Of which.
        logits: Of the cached head, of the whole test split.
        views: What models are to average.
    """
    image_ids = cache.image_ids("test")
    rows = sample_rows(image_ids, NUM_IMAGES, salt="export")
    return ScoringSample(
        cache=cache,
        image_ids=tuple(image_ids[row] for row in rows),
        labels=cache.labels("test")[rows],
        logits=logits[rows],
        batch_size=batch_size_of(cache, views),
        is_encoded=needs_pictures(views),
    )


def score(process: FreshProcess, sample: ScoringSample) -> Score:
    """Has an exported file answer test pictures.

    Args:
        process: Where it was opened.
        sample: The pictures.

    Raises:
        FormatError: If it does not answer.
        SourceError: If the pictures are not there any more.
    """
    logits, probabilities, seconds = [], [], 0.0
    answered = (
        map(process.answer_encoded, sample.read_encoded())
        if sample.is_encoded
        else map(process.answer, sample.read_batches())
    )
    for of_batch, *given, took in answered:
        logits.append(of_batch)
        probabilities.append(given[0] if given else softmax(of_batch))
        seconds += float(took)
    reference, expected = HEAD, sample.logits
    if sample.stitched_logits is not None:
        reference, expected = STITCHED, sample.stitched_logits
    expected = softmax(expected)
    answers, shares = np.concatenate(logits), np.concatenate(probabilities)
    is_same = shares.argmax(-1) == expected.argmax(-1)
    return Score(
        top1=top1(answers, sample.labels),
        head_top1=top1(sample.logits, sample.labels),
        reference=reference,
        top1_agreement=float(is_same.mean()),
        max_probability_diff=float(np.abs(shares - expected).max()),
        num_images=len(answers),
        num_test=sample.cache.num_images["test"],
        milliseconds=1000 * seconds / len(answers),
    )


def check_score(name: str, scored: Score, *, is_quantized: bool) -> None:
    """Refuses a file that is not what the cached head is on test pictures.

    Args:
        name: Of the format.
        scored: How it does.
        is_quantized: Whether it computes in 8 bits: only accuracy counts then.

    Raises:
        ParityError: If it falls short.
    """
    on = f"on {scored.num_images:,} test pictures"
    if is_quantized:
        loss = scored.head_top1 - scored.top1
        if loss > MAX_LOSS:
            raise ParityError(
                f"The {name} model is not accurate enough, and is not "
                f"exported. Expected: {scored.head_top1:.2%} as of the head, "
                f"or at most {100 * MAX_LOSS:g} points less, {on}. Received: "
                f"{scored.top1:.2%}."
            )
    # Which no number is, if a probability is none.
    elif not (
        scored.top1_agreement == 1
        and scored.max_probability_diff <= MAX_PROBABILITY_DIFF
    ):
        raise ParityError(
            f"The {name} model does not answer what the {scored.reference} "
            "does, and is not exported. Expected: 100% of the first classes "
            f"and probabilities within {MAX_PROBABILITY_DIFF:g}, {on}. "
            f"Received: {scored.top1_agreement:.2%} and "
            f"{scored.max_probability_diff:.1e}."
        )
