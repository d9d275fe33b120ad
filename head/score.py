"""A score: how an exported file does on the test split.

The test split chooses nothing here: a format is written as it is, or not.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from embed.cache import FeatureCache
from embed.origin import decoder_of
from embed.origin import read_pictures
from embed.splits import sample_rows
from head.fresh import FreshProcess
from head.metrics import softmax
from head.metrics import top1
from head.parity import ParityError
from head.parity import Tolerance
from head.parity import batch_size_of

# At most, those of smallest hash: at 80 pictures a second, as of the slowest
# format on 2 cores, 13 seconds. The standard error of a difference between two
# models that answer 3 % of them differently is half a point.
NUM_IMAGES = 1_024
MAX_LOSS = 0.02  # Of accuracy, in 8 bits.


@dataclasses.dataclass(frozen=True)
class Score:
    """How an exported file does on test pictures.

    Args:
        top1: Share of them that it answers rightly.
        head_top1: The same of the cached head.
        top1_agreement: Share with the same first class as of the cached head.
        max_probability_diff: Largest difference of a probability.
        num_images: Pictures it was scored on.
        num_test: Pictures that the test split has.
        milliseconds: A picture, in batches of 32 or one by one, on all cores
            of the machine that exported it.
    """

    top1: float
    head_top1: float
    top1_agreement: float
    max_probability_diff: float
    num_images: int
    num_test: int
    milliseconds: float


@dataclasses.dataclass(frozen=True)
class ScoringSample:
    """Test pictures, and what the cached head says of them.

    Args:
        cache: Knows the way to the pictures.
        image_ids: Ids of the pictures.
        labels: True classes `(num_images,)`.
        logits: Of the cached head `(num_images, num_classes)`.
    """

    cache: FeatureCache
    image_ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray

    def read_batches(self) -> Iterator[np.ndarray]:
        """Yields pixels, a few pictures at a time: none are kept.

        Raises:
            SourceError: If the pictures are not there any more.
        """
        decoder, batch = decoder_of(self.cache), []
        batch_size = batch_size_of(self.cache)
        for encoded in read_pictures(self.cache, "test", self.image_ids):
            batch.append(decoder(encoded))
            if len(batch) == batch_size:
                yield np.stack(batch)
                batch.clear()
        if batch:
            yield np.stack(batch)


def draw_scoring_sample(
    cache: FeatureCache, logits: np.ndarray
) -> ScoringSample:
    """Returns the test pictures of smallest hash.

    Args:
        cache: Of which.
        logits: Of the cached head, of the whole test split.
    """
    image_ids = cache.image_ids("test")
    rows = sample_rows(image_ids, NUM_IMAGES, salt="export")
    return ScoringSample(
        cache=cache,
        image_ids=tuple(image_ids[row] for row in rows),
        labels=cache.labels("test")[rows],
        logits=logits[rows],
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
    for images in sample.read_batches():
        of_batch, *given, took = process.answer(images)
        logits.append(of_batch)
        probabilities.append(given[0] if given else softmax(of_batch))
        seconds += float(took)
    expected = softmax(sample.logits)
    answers, answered = np.concatenate(logits), np.concatenate(probabilities)
    is_same = answered.argmax(-1) == expected.argmax(-1)
    return Score(
        top1=top1(answers, sample.labels),
        head_top1=top1(sample.logits, sample.labels),
        top1_agreement=float(is_same.mean()),
        max_probability_diff=float(np.abs(answered - expected).max()),
        num_images=len(answers),
        num_test=sample.cache.num_images["test"],
        milliseconds=1000 * seconds / len(answers),
    )


def check_score(
    name: str, scored: Score, allowed: Tolerance, *, is_quantized: bool
) -> None:
    """Refuses a file that is not what the cached head is on test pictures.

    Args:
        name: Of the format.
        scored: How it does.
        allowed: How far a model in float32 may be from the head.
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
    elif not (
        scored.top1_agreement >= allowed.top1_agreement
        and scored.max_probability_diff <= allowed.probability
    ):
        raise ParityError(
            f"The {name} model does not answer what the head answers, and is "
            f"not exported. Expected: {allowed.top1_agreement:.0%} of the "
            f"first classes and probabilities within {allowed.probability:g}, "
            f"{on}. Received: {scored.top1_agreement:.2%} and "
            f"{scored.max_probability_diff:.1e}."
        )
